"""Accounts screens: signing in and out, password, language."""
