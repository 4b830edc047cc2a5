"""What the district sets for its texts: when they wait, how many, at what cost, which wordings."""
