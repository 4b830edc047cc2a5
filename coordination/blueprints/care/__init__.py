"""The family's health card and collectors, and the leader's look at them on the day."""
