"""What providers report back."""
