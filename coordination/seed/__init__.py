"""Districts to try with: a small told one, and a synthetic one of any size."""
