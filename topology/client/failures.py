"""What a failed call means to an application, read from its code and from the service's own reason.

Both clients ask it. `topology.client.errors` has the words. Third road, where it ends for the caller.
"""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2

from topology.client.errors import ClaimError, ClaimRefused, NameHeld, NameTaken, ServiceAway, TooBusy

_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_BUSY: Final = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED)


def meaning(error: Any) -> ClaimError:
    """Say what a `grpc.RpcError` means, whichever kind of channel raised it."""
    code: grpc.StatusCode = error.code()
    words, reason = error.details() or code.name, _reason(error)
    if code in _AWAY:
        return ServiceAway(words, reason)
    if code in _BUSY:
        return TooBusy(words, reason)
    if code is grpc.StatusCode.ALREADY_EXISTS:
        return NameTaken(words, reason)
    if reason in ("CLAIM_LEASED", "OWNER_MOVING"):
        return NameHeld(words, reason)
    return ClaimRefused(words, reason)


def _reason(error: Any) -> str:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(details if isinstance(details, bytes) else b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""
