"""Pages of the head-count on the day."""
