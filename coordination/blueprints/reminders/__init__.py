"""Rules of reminders: one page for the district, for a school, and for an activity."""
