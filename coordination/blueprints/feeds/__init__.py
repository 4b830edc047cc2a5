"""Calendars: the feeds themselves, and the pages on which people subscribe."""
