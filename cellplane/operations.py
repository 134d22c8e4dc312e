"""What a control plane does so that people can watch it, joined: the fleet of all replicas, the history of
pushes, the feed, and their pages.

The composition root makes one and runs it beside the publisher; nothing that Envoys wait for waits for it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from cellplane.feed import Feed
from cellplane.fleet_reporter import FleetReporter
from cellplane.fleet_wide import FleetReader
from cellplane.operation_keys import FleetKeys, PushKeys
from cellplane.operation_pages import OperationPages
from cellplane.publisher import Publisher
from cellplane.push_history import PushHistory
from cellplane.push_tracker import PushTracker
from cellplane.status import StatusServer
from cellplane.wave_runner import WaveRunner
from topology.keys import Keyspace
from topology.store import LeasingStore
from xds.hold_book import HoldBook
from xds.status import Fleet

_LOOK_SECONDS = 1.0


class Operations:
    """The parts, joined. `tracker` is what the publisher tells of its pushes."""

    def __init__(
        self,
        store: LeasingStore,
        keyspace: Keyspace,
        fleet: Fleet,
        holds: HoldBook,
        tracker: PushTracker,
        publisher: Publisher,
        status: StatusServer,
        replica: str,
    ) -> None:
        keys = FleetKeys.beside(keyspace)
        self.feed = Feed()
        self.reporter = FleetReporter(store, keys, fleet, holds, status.about)
        self.fleet = FleetReader(store, keys, fleet, holds, status.about, lambda: self.reporter.lease)
        # Two replicas may bear one name, and one that starts anew counts from the start.
        run = f"{replica}-{secrets.token_hex(3)}"
        self.history = PushHistory(store, PushKeys.beside(keyspace), tracker, self.feed, run)
        self.waves = _waves(store, keyspace, publisher, self.fleet, self.history, replica)
        self._publisher = publisher
        self._own_fleet = fleet
        status.report_problem = lambda: self.reporter.problem or self.history.problem
        pages = OperationPages(status.pages, self.fleet, self.history, publisher, self.feed)
        if self.waves is not None:
            pages.waves = self.waves

    def running(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Give what is to run until the process ends."""
        waves = (self.waves.run(), self.waves.views.run()) if self.waves is not None else ()
        return self.reporter.run(), self.history.run(), tell_states(self._states, self.feed), *waves

    async def close(self) -> None:
        """Take back what this replica told of its fleet."""
        await self.reporter.close()

    def _states(self) -> dict[str, Any]:
        """Give what the feed tells whenever it changes."""
        state = self._publisher.state
        groups = Counter(node.group for node in self._own_fleet.nodes())
        return {
            "frozen": state.frozen.body() if state.frozen else None,
            "held": state.held.body() if state.held else None,
            "wave": state.standing.body() if state.standing else None,
            "fleet": {"changes": self._own_fleet.changes, "nodes": dict(groups)},
        }


def _waves(
    store: LeasingStore,
    keyspace: Keyspace,
    publisher: Publisher,
    fleet: FleetReader,
    history: PushHistory,
    replica: str,
) -> WaveRunner | None:
    """Make this replica's part in leading waves, where its publisher delivers in waves."""
    if publisher.delivery is None:
        return None
    views = publisher.delivery.views
    return WaveRunner(store, keyspace, publisher.state, fleet, history, views, replica)


async def tell_states(states: Callable[[], dict[str, Any]], feed: Feed) -> None:
    """Put each state that changed into the feed, once a second at most, under its name; the end of one
    too.
    """
    before = states()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = states()
        for name, body in now.items():
            if body != before[name]:
                ended = {"frozen": "resumed", "held": "released"}
                feed.put(name if body is not None else ended.get(name, name), body or {})
        before = now
