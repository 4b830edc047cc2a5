"""Every component on one page."""
