"""Delivery of messages: outbox, dispatch, receipts and reminders. Knows no Flask and no product."""
