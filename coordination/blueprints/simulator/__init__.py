"""Phone simulator: what each guardian's phone would show."""
