"""Head-counts on the day: stages, marks, who left the group, and who may close a stage."""
