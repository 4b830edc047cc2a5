"""Front page, today's work, and where short codes lead."""
