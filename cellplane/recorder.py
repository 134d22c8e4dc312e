"""What the publisher wants remembered: last good counts and held pushes in the store, the last good View on
disk.

The publisher states what should be; `run` makes it so in the background, newest wish only, so that no push
waits for a write. A write that fails is tried again; what matters most, the last good
Snapshot, is in memory all the while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cellplane.latest import Latest
from cellplane.pushes import GOOD, HELD, RELEASED, HeldPush, good_clusters
from topology.apply import apply
from topology.errors import StoreError
from topology.keys import Keyspace
from topology.model import Stamp
from topology.planning import Outcome, plan_document
from topology.saved import save_view
from topology.store import Store
from topology.view import View

log = logging.getLogger("cellplane.recorder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What should be on record: the View to save, the good count of a group, and the push that is held, if
    one is.
    """

    group: str
    view: View
    save: View | None
    clusters: int | None
    held: HeldPush | None


class Recorder:
    """Write wishes down: the newest, and at most one a second."""

    def __init__(
        self,
        store: Store,
        keyspace: Keyspace,
        saved_path: Path | None,
        replica: str,
        pause_seconds: float = 1.0,
    ) -> None:
        self._store = store
        self._keyspace = keyspace
        self._saved_path = saved_path
        self._replica = replica
        self._pause_seconds = pause_seconds
        self._wishes: Latest[Wish] = Latest()
        self._newest: Wish | None = None
        self._last_saved_revision = -1
        self.save_error = ""

    def wish(self, wish: Wish) -> None:
        """Replace what is to be written."""
        self._newest = wish
        self._wishes.set(wish)

    async def run(self) -> None:
        """Fulfil wishes until cancelled."""
        unfulfilled: Wish | None = None
        while True:
            wish = await self._wishes.next(None if unfulfilled is None else 0.0) or unfulfilled
            if wish is None:
                continue
            began = time.monotonic()
            await self._save(wish.save)
            saving_seconds = time.monotonic() - began
            try:
                await self._write(wish)
                unfulfilled = None
            except StoreError as error:
                log.warning("record_failed group=%s error=%s", wish.group, error)
                unfulfilled = wish
            # Encoding thousands of cells keeps the interpreter from pushing: a fiftieth of the time at most.
            await asyncio.sleep(max(self._pause_seconds, 50 * saving_seconds))

    async def close(self) -> None:
        """Save what is newest, so that an orderly end loses nothing."""
        if self._newest is not None:
            await self._save(self._newest.save)

    async def _save(self, view: View | None) -> None:
        if view is None or self._saved_path is None or view.revision == self._last_saved_revision:
            return
        try:
            await asyncio.to_thread(save_view, self._saved_path, view)
        except OSError as error:
            self.save_error = f"{self._saved_path}: {error.strerror}"
            log.warning("save_failed path=%s error=%s", self._saved_path, error)
            return
        self.save_error = ""
        self._last_saved_revision = view.revision

    async def _write(self, wish: Wish) -> None:
        view, group = wish.view, wish.group
        if view.stale:
            return
        if wish.clusters is not None and wish.clusters != good_clusters(view, group):
            await self._document(GOOD, group, {"clusters": wish.clusters, "revision": view.revision})
        held = view.documents.get((HELD, group))
        if wish.held is None and held is not None:
            await self._remove(HELD, group)
            await self._remove(RELEASED, str(held.body.get("id")))
        elif wish.held is not None and (held is None or held.body.get("id") != wish.held.id):
            await self._document(HELD, group, wish.held.body())

    async def _document(self, kind: str, name: str, body: dict[str, object]) -> None:
        await self._apply(lambda view: plan_document(view, kind, name, body, self._stamp()))

    async def _remove(self, kind: str, name: str) -> None:
        def plan(view: View) -> Outcome:
            return plan_document(view, kind, name, None, self._stamp())

        await self._apply(plan)

    async def _apply(self, plan: Callable[[View], Outcome]) -> None:
        # Another replica may have been faster with the same news; then there is nothing left to do.
        await apply(self._store, self._keyspace, plan)

    def _stamp(self) -> Stamp:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Stamp(updated_by=f"control-plane {self._replica}", updated_at=now, reason="")
