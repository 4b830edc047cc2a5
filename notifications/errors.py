"""The error family of this library. Must not know HTTP statuses or human languages."""

from __future__ import annotations


class NotificationError(Exception):
    """Base of every error raised by this library."""


class TemplateRefused(NotificationError):
    """A template names a variable that is not allowed, or a value is missing or unknown."""


class ForbiddenMove(NotificationError):
    """A message state may not follow the state it is in."""


class WorkerNotAlive(NotificationError):
    """The worker does not hold its advisory lock, so nobody could prove that it died."""


class ChannelUnknown(NotificationError):
    """No channel is registered under this name."""


class ChannelMisconfigured(NotificationError):
    """A channel was asked for without the settings that it needs."""
