"""Roster import: readers, normal forms, staging, the difference, and preview, apply, undo."""
