"""The only way tables come to be: numbered Alembic revisions with one head."""
