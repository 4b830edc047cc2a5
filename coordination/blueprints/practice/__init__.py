"""Practice-base activities: plan, enrol, consent status, attendance."""
