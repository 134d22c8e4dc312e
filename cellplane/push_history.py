"""The history of pushes, shared by all replicas: each is written down once, and every replica adds what it
saw.

It takes pushes from the tracker, behind their sending, and follows what other replicas write; pages, the
command and roll-backs read it (`View -> Snapshot -> Response`, remembered). It keeps 1,000 pushes or 30 days.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from cellplane.feed import Feed
from cellplane.followed import Followed
from cellplane.operation_keys import PushKeys
from cellplane.push_diff import START, effective_revision, push_diff
from cellplane.push_record import Acks, Push, decode_push, digest_of, encode_push, push_body, push_name
from cellplane.push_tracker import PushTracker, Tracked
from topology.errors import StoreError
from topology.store import MAX_TXN_OPERATIONS, Compare, Record, Store, Txn

log = logging.getLogger("cellplane.push_history")

KEPT: Final = 1000
KEPT_MINOR: Final = 200
KEPT_SECONDS: Final = 30 * 24 * 3600
KEPT_BYTES: Final = 8 * 1024 * 1024


class PushHistory:
    """All pushes that are kept, the newest last."""

    def __init__(
        self,
        store: Store,
        keys: PushKeys,
        tracker: PushTracker,
        feed: Feed,
        replica: str,
        pause_seconds: float = 1.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.followed = Followed(store, keys.root, self._learn)
        self.causes: Counter[tuple[str, str]] = Counter()
        self.problem = ""
        self._store = store
        self._keys = keys
        self._tracker = tracker
        self._feed = feed
        self._replica = replica
        self._pause_seconds = pause_seconds
        self._wall_clock = wall_clock
        self._bodies: dict[str, Mapping[str, Any]] = {}
        self._sizes: dict[str, int] = {}
        self._acks: dict[str, dict[str, Acks]] = {}

    def pushes(self) -> list[Push]:
        """Give all pushes, in the order in which they went out."""
        found = [Push(body=body, acks=self._acks.get(name, {})) for name, body in self._bodies.items()]
        return sorted(found, key=lambda push: (push.revision, push.at))

    def find(self, identity: str) -> list[Push]:
        """Give the pushes whose id begins so; `last` is the newest."""
        pushes = self.pushes()
        if identity == "last":
            return pushes[-1:]
        return [push for push in pushes if push.id.startswith(identity)]

    def at_revision(self, revision: int) -> Push | None:
        """Give the push that was the newest at a revision: what a node with that version was sent last."""
        return next((push for push in reversed(self.pushes()) if push.revision <= revision), None)

    async def amend(self, identity: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> bool:
        """Change what is kept of a push; False where it is not there (yet). Only who leads may."""
        found = next((push for push in self.find(identity) if push.id == identity), None)
        if found is None:
            return False
        body = change(found.body)
        await self._store.commit(Txn(puts=((self._keys.record(found.name), encode_push(body)),)))
        self._bodies[found.name] = body  # two changes may come before the watch tells of the first
        return True

    async def run(self) -> None:
        """Follow and write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.followed.run())
            tasks.create_task(self._write_for_ever())

    async def _write_for_ever(self) -> None:
        await self.followed.listed.wait()
        while True:
            await self._tracker.news.wait()
            self._tracker.news.clear()
            # Of several replicas with the same news one writes it, and the others see that it is there.
            await asyncio.sleep(self._pause_seconds * random.random() / 4)
            try:
                await self._write()
                self.problem = ""
            except StoreError as error:
                self._tracker.news.set()
                if not self.problem:
                    log.warning("pushes_not_written error=%s", error)
                self.problem = str(error)
            await asyncio.sleep(self._pause_seconds)

    async def _write(self) -> None:
        unwritten = self._tracker.unwritten
        while unwritten:
            push = unwritten[0]
            await self._record(push)
            if unwritten and unwritten[0] is push:
                unwritten.popleft()
        await self._tell_acks()
        await self._prune()

    async def _record(self, push: Tracked) -> None:
        """Write a push down, unless it is there already: another replica was faster, or this one started."""
        pushed = push.pushed
        body = await asyncio.to_thread(self._body, push)
        newest = next((each for each in reversed(self.pushes()) if each.body["group"] == pushed.group), None)
        if newest is not None and newest.digest == body["digest"] and not pushed.wave:
            push.name = newest.name
        else:
            push.name = push_name(body["revision"], body["id"])
        if pushed.before is not None or push.name not in self._bodies:
            self.causes[pushed.group, body["causes"][0] if body["causes"] else START] += 1
        if push.name in self._bodies:
            return
        key = self._keys.record(push.name)
        await self._store.commit(Txn(compares=(Compare(key, 0),), puts=((key, encode_push(body)),)))
        log.info("push_written id=%s revision=%d causes=%s", body["id"], body["revision"], body["causes"])

    def _body(self, push: Tracked) -> dict[str, Any]:
        pushed = push.pushed
        return push_body(
            group=pushed.group,
            revision=pushed.revision or effective_revision(pushed.after),
            digest=digest_of(pushed.new),
            at=pushed.at,
            replica=self._replica,
            diff=push_diff(pushed.before, pushed.after, pushed.old, pushed.new, pushed.change),
            identity=pushed.wave,
        )

    async def _tell_acks(self) -> None:
        """Write what became of the newest pushes here, in one transaction."""
        told = [push for push in self._tracker.tracked if push.is_news and push.name]
        puts: dict[str, bytes] = {}
        for push in told:
            push.is_news = False
            value = json.dumps(push.acks().to_json(), separators=(",", ":")).encode()
            puts[self._keys.acks(push.name, self._replica)] = value
        if not puts:
            return
        try:
            await self._store.commit(Txn(puts=tuple(puts.items())))
        except StoreError:
            for push in told:
                push.is_news = True
            raise

    async def _prune(self) -> None:
        """Let go of what is too old or too much, a few at a time."""
        gone = surplus(self.pushes(), self._sizes, self._wall_clock())[: MAX_TXN_OPERATIONS // 8]
        keys = [self._keys.record(push.name) for push in gone]
        keys += [self._keys.acks(push.name, replica) for push in gone for replica in push.acks]
        if keys:
            await self._store.commit(Txn(deletes=tuple(keys[:MAX_TXN_OPERATIONS])))

    def _learn(self, news: Mapping[str, Record | None]) -> None:
        for key, record in news.items():
            parsed = self._keys.parse(key)
            if parsed is None:
                continue
            name, replica = parsed
            try:
                self._take(name, replica, record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("push_unreadable key=%s error=%s", key, error)

    def _take(self, name: str, replica: str, record: Record | None) -> None:
        if record is None:
            if replica:
                self._acks.get(name, {}).pop(replica, None)
                if not self._acks.get(name):
                    self._acks.pop(name, None)
            else:
                self._bodies.pop(name, None)
                self._sizes.pop(name, None)
            return
        if replica:
            self._acks.setdefault(name, {})[replica] = Acks.of_json(json.loads(record.value))
        else:
            self._bodies[name] = decode_push(record.value)
            self._sizes[name] = len(record.value)
            self._tracker.news.set()  # another may have to go for it
        if name in self._bodies:
            push = Push(body=self._bodies[name], acks=self._acks.get(name, {}))
            self._feed.put("outcome" if replica else "push", _told(push))


def surplus(pushes: list[Push], sizes: Mapping[str, int], now: float) -> list[Push]:
    """Name the pushes that are not to be kept: too old, too many, or too large together."""
    left = {KEPT: 0, KEPT_MINOR: 0}
    size = 0
    gone = []
    for push in reversed(pushes):
        most = KEPT_MINOR if push.is_minor else KEPT
        left[most] += 1
        size += sizes.get(push.name, 0)
        if left[most] > most or size > KEPT_BYTES or now - push.at > KEPT_SECONDS:
            gone.append(push)
    return gone


def _told(push: Push) -> dict[str, Any]:
    """Give what the feed says of a push: all but what is needed for the way back."""
    return {name: value for name, value in push.to_json().items() if name not in {"records", "resources"}}
