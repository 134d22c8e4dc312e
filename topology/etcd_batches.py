"""What etcd sends on a watch, put together: whole revisions in order, nothing twice, bookmarks only where
they are true.

`etcd.EtcdStore` feeds it every response of one watch and hands on the batches. It does no I/O. What etcd
breaks in some version is mended here, or ends the watch with `Torn`, and the listing that follows is whole.
`etcd Event -> View -> Snapshot -> Response`: the Event, made whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from pb.etcdserverpb import rpc_pb2
from pb.mvccpb import kv_pb2
from topology.errors import Torn
from topology.etcd_messages import event_of
from topology.store import Batch, Event

_revision: Final = attrgetter("mod_revision")
# By line: the first patch that answers in order, and the first that answers every watch.
_PROGRESS_FIXES: Final = {(3, 4): (25, 31), (3, 5): (8, 13)}


@dataclass(frozen=True, slots=True)
class Progress:
    """What a version of etcd does when a watch is asked how far it has come: whether it answers, and
    truthfully.
    """

    answers: bool
    truthful: bool


def progress_of(version: str) -> Progress:
    """Look a version up. What is not known to work is not used.

    Answers overtook events until 3.4.25 and 3.5.8 (https://github.com/etcd-io/etcd/issues/15220); the fix
    left new watches without an answer until 3.4.31 and 3.5.13
    (https://github.com/etcd-io/etcd/issues/17507).
    """
    major, minor, patch = _numbers(version)
    if (major, minor) < (3, 4):
        return Progress(answers=False, truthful=False)
    ordered, answered = _PROGRESS_FIXES.get((major, minor), (0, 0))
    return Progress(answers=patch < ordered or patch >= answered, truthful=patch >= answered)


def _numbers(version: str) -> tuple[int, int, int]:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


class Assembly:
    """The state of one watch: how far it has been delivered, and what waits for the rest of its revision."""

    def __init__(self, after: int, progress: Progress) -> None:
        self._floor = after
        self._last = after
        self._last_keys: frozenset[str] = frozenset()
        self._progress = progress
        self._fragments: list[kv_pb2.Event] = []

    def feed(self, response: rpc_pb2.WatchResponse) -> Iterator[Batch]:
        """Take one response, give what it completes. Raises `Torn` where a delivered revision turns out to
        be incomplete.
        """
        if not response.events and not response.fragment and not self._fragments:
            yield from self._bookmark(response)
            return
        self._fragments.extend(response.events)
        if response.fragment:
            return
        events, self._fragments = self._fragments, []
        for revision, group in groupby(map(event_of, events), key=_revision):
            yield from self._batch(revision, tuple(group))

    def _bookmark(self, response: rpc_pb2.WatchResponse) -> Iterator[Batch]:
        asked_for = response.watch_id < 0
        if asked_for and not self._progress.truthful:
            return
        if response.header.revision >= self._last:
            self._advance(
                response.header.revision, frozenset() if response.header.revision > self._last else None
            )
            yield Batch(self._last)

    def _batch(self, revision: int, events: tuple[Event, ...]) -> Iterator[Batch]:
        keys = frozenset(event.key for event in events)
        if revision <= self._floor:
            return  # older than asked for: https://github.com/etcd-io/etcd/issues/20221
        if revision == self._last and keys <= self._last_keys:
            return  # the same again
        if revision <= self._last:
            raise Torn(revision)
        self._advance(revision, keys)
        yield Batch(revision, events)

    def _advance(self, revision: int, keys: frozenset[str] | None) -> None:
        self._last = revision
        if keys is not None:
            self._last_keys = keys
