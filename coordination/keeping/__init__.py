"""Backups: one encrypted file, and the way back. Composition: knows the database's programs."""
