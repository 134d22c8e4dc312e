"""Who changed what, from what to what, and at which revision: one line of the log for each change.

Services write it once a change is committed, on a logger of its own, which an operator can send elsewhere. A
value that says who somebody is, or is long, stands there by its digest. Third road, behind its `Txn`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from topology.claims.model import Bucket, BucketType, ClaimBatch, Lease
from topology.service.gate import current_caller

log = logging.getLogger("topology.audit")

AT_ONCE: Final = 100  # names in a line
_LONG: Final = 128
_PERSONAL: Final = frozenset(
    {
        BucketType.EMAILS,
        BucketType.SERVICE_DESK_CUSTOM_EMAILS,
        BucketType.GPG_KEYS,
        BucketType.SSH_KEYS,
    }
)


def topology_changed(revision: int, summary: Iterable[str]) -> None:
    """Write down a change of cells or documents; the summary says each field before and after."""
    caller = current_caller()
    log.info(
        "changed by=%s role=%s revision=%d what=%s",
        caller.name,
        caller.role,
        revision,
        list(summary),
    )


def lease_begun(lease: Lease, batch: ClaimBatch, cursor: int) -> None:
    """Write down what a lease creates, which was not there before, and what it destroys."""
    caller = current_caller()
    names = [f"+{shown(each.bucket)}" for each in batch.creates]
    names += [f"-{shown(each.bucket)}" for each in batch.destroys]
    for at in range(0, len(names), AT_ONCE):
        log.info(
            "lease_begun cell=%d lease=%s by=%s role=%s revision=%d what=%s",
            lease.cell_id,
            lease.uuid,
            caller.name,
            caller.role,
            cursor,
            names[at : at + AT_ONCE],
        )


def lease_closed(cell_id: int, lease: str, cursor: int, *, commit: bool, found: bool) -> None:
    """Write down how a lease ended: committed, what it names as begun holds; else all is as before it."""
    caller = current_caller()
    log.info(
        "%s cell=%d lease=%s by=%s role=%s revision=%d found=%s",
        "lease_committed" if commit else "lease_rolled_back",
        cell_id,
        lease,
        caller.name,
        caller.role,
        cursor,
        found,
    )


def shown(bucket: Bucket) -> str:
    """Spell a claim for the log."""
    return f"{bucket.type.name}/{_digest(bucket.value) if bucket.type in _PERSONAL else named(bucket.value)}"


def named(text: str) -> str:
    """Spell a name that a caller chose, which may be somebody's address."""
    return _digest(text) if len(text) > _LONG or "@" in text else text


def _digest(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()[:32]}"
