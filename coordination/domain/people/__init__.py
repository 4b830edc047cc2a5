"""Persons, organisations, classes, guardianship and the roster import."""
