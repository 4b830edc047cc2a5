"""Notices, audience, acknowledgement."""
