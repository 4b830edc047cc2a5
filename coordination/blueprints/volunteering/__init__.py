"""Volunteer shifts: take and leave."""
