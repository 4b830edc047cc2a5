"""Resources, opening rules, bookings and their occurrences."""
