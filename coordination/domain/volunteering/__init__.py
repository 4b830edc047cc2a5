"""Shift needs and assignments."""
