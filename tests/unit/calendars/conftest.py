"""Hypothesis settings of the calendar tests: deadlines say nothing on a shared machine."""

from hypothesis import settings

settings.register_profile("calendars", deadline=None, max_examples=150)
settings.load_profile("calendars")
