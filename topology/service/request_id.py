"""The id of the request that is being answered: the caller's own, or one of ours, for logs and errors.

The gate sets it for each call; the log asks for it. Beside `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final

from topology.claims.random_uuid import random_uuid

REQUEST_ID: Final = "x-request-id"
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_given: ContextVar[str] = ContextVar("request", default="")
_made: ContextVar[str] = ContextVar("made", default="")
_IN_A_CALL: Final = "?"


def begin(given: str) -> str:
    """Take note of a call, and of the id that the caller gave it; return that, empty where it can't be
    used.
    """
    usable = given if given and _ID.match(given) else ""
    _given.set(usable or _IN_A_CALL)
    if _made.get():
        _made.set("")
    return usable


def current_request_id() -> str:
    """Give the id of the call that is being answered; empty outside of calls. One of ours is made when asked
    for.
    """
    given = _given.get()
    if given != _IN_A_CALL:
        return given
    if not _made.get():
        _made.set(random_uuid())
    return _made.get()
