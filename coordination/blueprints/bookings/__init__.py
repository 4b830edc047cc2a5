"""Community resources: search, book, approve."""
