"""Event to messages, agenda, reminders and audit; same transaction, rows only."""
