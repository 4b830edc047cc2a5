"""What the district looks at to answer for what happened."""
