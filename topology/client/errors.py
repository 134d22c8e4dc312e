"""What can go wrong for an application that claims.

    ClaimError
    ├── NameTaken        somebody owns it: tell the user
    ├── NameHeld         another batch holds it: try again later
    ├── ClaimRefused     the batch can't be right, or this cell may not: a bug, or a wrong configuration
    ├── ServiceAway      no answer; a begin may have happened, and reconciliation takes it back
    └── TooBusy          the call was not made, or not carried out, for there are too many: try again later

The client raises them. Third road, where it ends for the caller.
"""

from __future__ import annotations


class ClaimError(Exception):
    """The root of the tree. `reason` is the service's, for programs."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class NameTaken(ClaimError):
    """Somebody owns it."""


class NameHeld(ClaimError):
    """Another batch holds it, and whether it stays is not decided yet."""


class ClaimRefused(ClaimError):
    """Trying again does not help."""


class ServiceAway(ClaimError):
    """No answer came in time."""


class TooBusy(ClaimError):
    """Too much is going on: here, where a limiter said so, or at the service."""
