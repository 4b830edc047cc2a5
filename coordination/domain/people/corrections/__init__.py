"""更正: what a guardian proposes to put right, and what the school says to it."""
