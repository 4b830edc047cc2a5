"""Notices: writing one, whom it reaches, letting it leave, a second look, alerts."""
