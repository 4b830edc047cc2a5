"""What a leader must know of a child on the day: health card, who may collect, and who has looked."""
