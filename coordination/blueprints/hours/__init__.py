"""Practice hours of children: targets, what is done, booked and missing."""
