"""District administration: the audit trail, and why somebody did or did not get a message."""
