"""What a backup or a restore refuses, in a sentence for whoever sits at the terminal."""

from __future__ import annotations


class BackupError(RuntimeError):
    """It was not done; the text names what, why, and the remedy."""
