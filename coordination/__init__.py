"""The product: one district where homes, schools and community act on one graph of events."""
