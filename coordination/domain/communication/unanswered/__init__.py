"""What follows silence: the next rung, the call list, families that are never reached."""
