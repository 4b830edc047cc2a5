"""Consent requests and answers."""
