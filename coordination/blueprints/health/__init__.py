"""Health of the process and of what it depends on."""
