"""Moves, composed: in every Topology Service a runner that campaigns to lead, on its store, claims and fleet.

The service runs it and hands its ports to the calls. It decides nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cellplane.move_calls import CalledHooks
from cellplane.move_fleet import ToldFleet
from cellplane.move_hooks import Hook
from topology.claims.store import ClaimStore
from topology.claims.transfer import TransferStore
from topology.fenced_store import FencedStore
from topology.keys import Keyspace
from topology.leader import Campaign, Leadership
from topology.moves.book import MoveBook
from topology.moves.crossing import Crossing
from topology.moves.freezing import Freezer
from topology.moves.model import Step
from topology.moves.runner import ROLE, MoveRunner
from topology.moves.works import Works
from topology.service.announcements import Announcements
from topology.service.departure_gate import DepartureGate
from topology.service.move_planner import MovePorts
from topology.service.sources import Sources
from topology.store import LeasingStore, Store


def move_ports(store: Store, keyspace: Keyspace, hooks: Mapping[Step, Hook]) -> MovePorts:
    """Give what moves need of the world around the service."""
    return MovePorts(ToldFleet(store, keyspace), CalledHooks(hooks))


def move_runner(
    store: LeasingStore,
    keyspace: Keyspace,
    sources: Sources,
    ports: MovePorts,
    claims_on: Callable[[Store], ClaimStore],
) -> MoveRunner:
    """Make the runner of this replica. `claims_on` gives the claims on a store that is fenced, if they are in
    it.
    """
    who = f"{socket.gethostname()}/{os.getpid()}"

    def works(leader: Leadership) -> Works:
        fenced = FencedStore(store, leader)
        claims = claims_on(fenced)
        if not isinstance(claims, TransferStore):
            raise AssertionError("every claim store of ours can transfer")  # noqa: TRY004  not a caller's fault
        return Works(
            crossing=Crossing(
                claims,
                DepartureGate(claims, fenced, keyspace),
                sources.follower,
                lambda: sources.view,
                lambda: sources.claims,
            ),
            freezer=Freezer(Announcements(claims, fenced, keyspace), fenced, keyspace, sources.follower),
            fleet=ports.fleet,
            hooks=ports.hooks,
            clock=lambda: datetime.now(UTC),
            who=who,
        )

    return MoveRunner(Campaign(store, keyspace, ROLE, who), store, MoveBook(store, keyspace), works)
