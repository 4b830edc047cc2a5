"""Consents: the guardian answers by code or signed in."""
