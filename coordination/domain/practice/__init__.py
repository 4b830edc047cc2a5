"""Practice-base activities: sessions, enrolment, attendance."""
