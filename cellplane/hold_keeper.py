"""Keeps rejected versions in the store, and tells the xDS server what is kept there: its own and others'.

The server's hold book calls `keep`, the watcher's Views go through `learn`; `run` writes in the background,
so that no rejection waits for a write: at most once a second, but for a verdict on a group, which goes at
once. It decides nothing about what is held.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from cellplane.held_versions import REJECTED, HeldVersions, body_of, document_name, read
from cellplane.recorder import stamp_of
from topology.errors import StoreError
from topology.model import Document
from topology.planning import Plan, plan_document
from topology.store import Conflict, Store
from topology.view import View
from xds.hold_book import HoldBook
from xds.hold_record import HoldRecord, united
from xds.resource import Reference

log = logging.getLogger("cellplane.hold_keeper")

_MOST_AT_ONCE = 50


class HoldKeeper:
    """The store of a hold book."""

    def __init__(self, store: Store, book: HoldBook, replica: str, pause_seconds: float = 1.0) -> None:
        self._store = store
        self._book = book
        self._replica = replica
        self._pause_seconds = pause_seconds
        self._view: View | None = None
        self._seen: dict[str, Document] = {}
        self._pending: dict[tuple[str, Reference], HoldRecord] = {}
        self._awake = asyncio.Event()
        self._verdict = asyncio.Event()
        self.write_error = ""
        book.store = self

    def keep(self, group: str, record: HoldRecord, /) -> None:
        """Take note of what is to be written; the newest of a resource counts."""
        self._pending.pop((group, record.key), None)
        self._pending[group, record.key] = record
        self._wake()

    def learn(self, view: View) -> None:
        """Tell the book what a View keeps, if that has changed."""
        self._view = view
        seen = {name: one for (kind, name), one in view.documents.items() if kind == REJECTED}
        before, self._seen = self._seen, seen
        if seen.keys() == before.keys() and all(before[name] is one for name, one in seen.items()):
            return
        by_group: dict[str, list[HoldRecord]] = {one.group: [] for one in _all(before)}
        for one in _all(seen):
            by_group.setdefault(one.group, []).append(one.record)
        for group, records in by_group.items():
            self._book.learn(group, records)
        self._wake()

    async def run(self) -> None:
        """Write what is noted until cancelled; what fails is tried again."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            self._verdict.clear()
            try:
                await self._write()
                self.write_error = ""
            except StoreError as error:
                self.write_error = str(error)
                log.warning("holds_not_kept count=%d error=%s", len(self._pending), error)
                self._awake.set()
            # A verdict that dies with this process would be found again at the cost of two nodes' rejections.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await self._verdict.wait()

    def _wake(self) -> None:
        self._awake.set()
        if any(self._is_verdict(group, record) for (group, _), record in self._pending.items()):
            self._verdict.set()

    def _is_verdict(self, group: str, record: HoldRecord) -> bool:
        """Tell whether it holds a version for its group that the store does not know to be held."""
        document = self._seen.get(document_name(group, record.key))
        kept = read(document) if document is not None else None
        return not set(record.held) <= set(kept.record.held if kept else ())

    async def _write(self) -> None:
        view = self._view
        if view is None or view.stale:
            return
        for group, key in tuple(self._pending)[:_MOST_AT_ONCE]:
            record = self._pending[group, key]
            plan = self._planned(view, group, record)
            outcome = await self._store.commit(plan.txn) if plan is not None else None
            # Where another replica was faster, the next View says what it wrote, and it is joined with that.
            if not isinstance(outcome, Conflict) and self._pending.get((group, key)) is record:
                del self._pending[group, key]
        if self._pending and len(self._pending) > _MOST_AT_ONCE:
            self._awake.set()

    def _planned(self, view: View, group: str, record: HoldRecord) -> Plan | None:
        name = document_name(group, record.key)
        document = view.documents.get((REJECTED, name))
        kept = read(document) if document is not None else None
        body = None
        if record.versions:
            body = body_of(group, united(kept.record, record) if kept else record)
        if (document is None and body is None) or (document is not None and document.body == body):
            return None
        plan = plan_document(view, REJECTED, name, body, stamp_of(self._replica))
        if isinstance(plan, Plan):
            return plan
        log.error("hold_not_written name=%s reason=%s", name, plan)
        return None


def _all(documents: dict[str, Document]) -> list[HeldVersions]:
    return [found for one in documents.values() if (found := read(one)) is not None]
