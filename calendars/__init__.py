"""Calendar values, feeds, revisions, recurrence, working days: a library blind to the product."""
