"""What must hold for an override that is written through the Topology Service, and what it has edges forget.

The composition root hands it to the service beside the other writers; it knows the claims, so that what was
remembered of an owner is void at the moment it is pinned, blocked or let go. Third road: plans a `Txn`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from topology.claims.follower import ClaimFollower
from topology.claims.generations import rewritten
from topology.claims.keys import ClaimKeyspace
from topology.claims.owners import subject_of
from topology.model import Stamp
from topology.overrides import plan_override
from topology.plan import Outcome, Plan
from topology.store import MAX_TXN_OPERATIONS
from topology.view import View


class OverrideWriter:
    """Plans overrides."""

    def __init__(self, follower: ClaimFollower) -> None:
        self._follower = follower

    def __call__(self, view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
        """Plan one, or without a body its end.

        An owner with claims in more slots than a transaction has room for is seen within the time for which
        answers hold, by those that are left over.
        """
        outcome = plan_override(view, name, body, stamp)
        subject = subject_of(name)
        if not isinstance(outcome, Plan) or subject is None or not self._follower.loaded:
            return outcome
        buckets = self._follower.index.claimed_for(subject)
        if not buckets:
            return outcome
        # No claim changes: without the mark the servers that edges ask would not know that they are as far.
        mark = (ClaimKeyspace.beside(view.keyspace).mark(), b"")
        room = MAX_TXN_OPERATIONS - 2
        puts = (mark, *rewritten(view.keyspace, buckets, stamp)[:room])
        return replace(outcome, txn=replace(outcome.txn, puts=(*outcome.txn.puts, *puts)))
