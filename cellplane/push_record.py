"""A push as it is kept: what changed and who wrote it, written once; and what became of it, told by replicas.

The history writes and reads both, pages and the command show them joined, roll-backs read what was before.
Pure: values in, JSON out (`View -> Snapshot -> Response`, remembered).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cellplane.ack_times import AckTimes, added_up
from cellplane.push_change import RecordChange
from cellplane.push_diff import CLAIMS, DRAIN, TIME, PushDiff, lines
from topology.codec import stamp_body
from xds.snapshot import Snapshot

SCHEMA: Final = 1
MOST_BYTES: Final = 32 * 1024
MINOR: Final = frozenset({CLAIMS, DRAIN, TIME})
"""Causes of which a push comes by itself and often: fewer of these are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acks:
    """What became of a push at one replica: how long its nodes took, who still waits, left or rejected it.

    `rejections` holds the first few in Envoy's words; `rejected` counts all.
    """

    times: AckTimes
    waiting: int = 0
    left: int = 0
    rejected: int = 0
    rejections: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "times": self.times.to_json(),
            "waiting": self.waiting,
            "left": self.left,
            "rejected": self.rejected,
            "rejections": list(self.rejections),
        }

    @classmethod
    def of_json(cls, body: Mapping[str, Any]) -> Acks:
        """Read what `to_json` gave. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            times=AckTimes.of_json(body["times"]),
            waiting=int(body["waiting"]),
            left=int(body["left"]),
            rejected=int(body["rejected"]),
            rejections=tuple(body["rejections"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One push. `body` is what is kept of it; `acks` what each replica told, by its name."""

    body: Mapping[str, Any]
    acks: Mapping[str, Acks]

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def name(self) -> str:
        """What its key ends with: by it pushes stand in the order of their revisions."""
        return push_name(self.revision, self.id)

    @property
    def revision(self) -> int:
        return int(self.body["revision"])

    @property
    def digest(self) -> str:
        return str(self.body["digest"])

    @property
    def at(self) -> float:
        return float(self.body["at"])

    @property
    def is_minor(self) -> bool:
        return set(self.body["causes"]) <= MINOR

    @property
    def outcome(self) -> dict[str, Any]:
        """What became of it at all replicas together."""
        told = self.acks.values()
        return {
            **added_up(each.times for each in told).summary(),
            "waiting": sum(each.waiting for each in told),
            "left": sum(each.left for each in told),
            "rejected": sum(each.rejected for each in told),
            "rejections": [one for each in told for one in each.rejections],
        }

    def to_json(self) -> dict[str, Any]:
        """Return what pages give: what is kept, and its outcome."""
        return {**self.body, "outcome": self.outcome}


def digest_of(snapshot: Snapshot) -> str:
    """Give the digest of all content of a Snapshot: the same at every replica."""
    told = sorted((kind.type_url, snapshot.digest(kind)) for kind in snapshot.resources)
    return hashlib.sha256(repr([each for each in told if each[1]]).encode()).hexdigest()[:16]


def push_id(group: str, revision: int, digest: str) -> str:
    """Give the id of a push: 8 hex digits, the same at every replica."""
    return hashlib.sha256(f"{group} {revision} {digest}".encode()).hexdigest()[:8]


def push_name(revision: int, identity: str) -> str:
    return f"{revision:016d}-{identity}"


def push_body(
    *, group: str, revision: int, digest: str, at: float, replica: str, diff: PushDiff, identity: str = ""
) -> dict[str, Any]:
    """Return what is kept of a push. `at` is in Unix seconds. What is too much is left out, and said to
    be. One that goes in waves has its `identity` from there.
    """
    while True:
        body = _body(group, revision, digest, at, replica, diff)
        body["id"] = identity or body["id"]
        if len(encode_push(body)) <= MOST_BYTES or not diff.records:
            return body
        kept = len(diff.records) // 2
        more = diff.more_records + len(diff.records) - kept
        diff = replace(diff, records=diff.records[:kept], more_records=more)


def encode_push(body: Mapping[str, Any]) -> bytes:
    """Write a push down, readably."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode_push(value: bytes) -> Mapping[str, Any]:
    """Read a push. Raises ValueError on what is none of this version."""
    body = json.loads(value)
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        raise ValueError(f"is no push of schema {SCHEMA}")
    missing = {"id", "group", "revision", "digest", "at", "causes", "lines", "records"} - body.keys()
    if missing:
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
    return body


def _body(group: str, revision: int, digest: str, at: float, replica: str, diff: PushDiff) -> dict[str, Any]:
    stamps = [each.stamp for each in diff.records]
    return {
        "schema": SCHEMA,
        "id": push_id(group, revision, digest),
        "group": group,
        "revision": revision,
        "digest": digest,
        "at": round(at, 3),
        "replica": replica,
        "causes": list(diff.causes),
        "authors": _distinct(stamp.updated_by for stamp in stamps),
        "reasons": _distinct(stamp.reason for stamp in stamps),
        "lines": lines(diff),
        "records": [_record(each) for each in diff.records],
        "more_records": diff.more_records,
        "resources": {
            each.type: {
                "added": list(each.added),
                "changed": list(each.changed),
                "removed": list(each.removed),
                "counts": list(each.counts),
            }
            for each in diff.resources
        },
        "unchanged": list(diff.unchanged),
    }


def _record(change: RecordChange) -> dict[str, Any]:
    return {
        "record": change.record,
        **stamp_body(change.stamp),
        "revision": change.revision,
        "lines": list(change.lines),
        "before": change.before,
        "has_before": change.has_before,
    }


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))
