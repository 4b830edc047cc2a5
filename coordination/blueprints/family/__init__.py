"""The family's home: what waits, what is coming, over all children."""
