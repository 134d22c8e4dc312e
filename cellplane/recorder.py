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
from cellplane.pushes import GOOD, HELD, RELEASED, HeldPush, good_counts
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
    """What should be on record: the View to save, how many clusters and routes of a group were good, and the
    push that is held, if one is.
    """

    group: str
    view: View
    save: View | None
    good: tuple[int, int] | None
    held: HeldPush | None


class Recorder:
    """Write wishes down, the newest only. Records go first and at once; the file has a pace of its own."""

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
        self._views: Latest[View] = Latest()
        self._newest: View | None = None
        self._saved_revision = -1
        self.save_error = ""

    def wish(self, wish: Wish) -> None:
        """Replace what is to be written."""
        self._wishes.set(wish)
        if wish.save is not None:
            self._newest = wish.save
            self._views.set(wish.save)

    async def run(self) -> None:
        """Fulfil wishes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_records())
            tasks.create_task(self._keep_file())

    async def close(self) -> None:
        """Save what is newest, so that an orderly end loses nothing."""
        if self._newest is not None:
            await self._save(self._newest)

    async def _keep_records(self) -> None:
        unfulfilled: Wish | None = None
        while True:
            wish = await self._wishes.next(None if unfulfilled is None else 0.0) or unfulfilled
            if wish is None:
                continue
            try:
                await self._write(wish)
                unfulfilled = None
            except StoreError as error:
                log.warning("record_failed group=%s error=%s", wish.group, error)
                unfulfilled = wish
            await asyncio.sleep(self._pause_seconds)

    async def _keep_file(self) -> None:
        unsaved: View | None = None
        while True:
            view = await self._views.next(None if unsaved is None else 0.0) or unsaved
            if view is None:
                continue
            began = time.monotonic()
            unsaved = None if await self._save(view) else view
            # Encoding thousands of cells keeps the interpreter from pushing: a fiftieth of the time at most.
            await asyncio.sleep(max(self._pause_seconds, 50 * (time.monotonic() - began)))

    async def _save(self, view: View) -> bool:
        if self._saved_path is None or view.revision == self._saved_revision:
            return True
        try:
            await asyncio.to_thread(save_view, self._saved_path, view)
        except OSError as error:
            if not self.save_error:
                log.warning("save_failed path=%s error=%s", self._saved_path, error)
            self.save_error = f"{self._saved_path}: {error.strerror}"
            return False
        self.save_error = ""
        self._saved_revision = view.revision
        return True

    async def _write(self, wish: Wish) -> None:
        view, group = wish.view, wish.group
        if view.stale:
            return
        # The good counts first: by them every other replica sees that a push is no longer to be held.
        if wish.good is not None and wish.good != good_counts(view, group):
            clusters, routes = wish.good
            body: dict[str, object] = {"clusters": clusters, "routes": routes, "revision": view.revision}
            await self._document(GOOD, group, body)
        held = view.documents.get((HELD, group))
        if wish.held is None and held is not None:
            await self._remove(HELD, group)
        elif wish.held is not None and (held is None or held.body.get("id") != wish.held.id):
            await self._document(HELD, group, wish.held.body())
        # A release counts for the push that is held now, and is not kept for one that may look alike later.
        for kind, name in view.documents:
            if kind == RELEASED and (wish.held is None or name != wish.held.id):
                await self._remove(RELEASED, name)

    async def _document(self, kind: str, name: str, body: dict[str, object]) -> None:
        await self._apply(lambda view: plan_document(view, kind, name, body, stamp_of(self._replica)))

    async def _remove(self, kind: str, name: str) -> None:
        def plan(view: View) -> Outcome:
            return plan_document(view, kind, name, None, stamp_of(self._replica))

        await self._apply(plan)

    async def _apply(self, plan: Callable[[View], Outcome]) -> None:
        # Another replica may have been faster with the same news; then there is nothing left to do.
        await apply(self._store, self._keyspace, plan)


def stamp_of(replica: str) -> Stamp:
    """Return the stamp of what a replica writes now by itself."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Stamp(updated_by=f"control-plane {replica}", updated_at=now, reason="")
