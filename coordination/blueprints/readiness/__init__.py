"""What a session still lacks before it may leave, and the two buttons that help."""
