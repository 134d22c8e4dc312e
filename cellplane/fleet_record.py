"""The fleet as records: what each node has, was sent and rejected, and which control plane said so.

Made of what `fleet_node` tells, carried through the store in compact parts, given out as JSON; the command,
pages and metrics read the same values (`Snapshot -> Response`, on its way back). Pure: it asks no clock. The
command starts with it, so it imports nothing that takes time.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

REJECTED, STALE, NOT_SENT, SYNCED = "REJECTED", "STALE", "NOT SENT", "SYNCED"
TYPES: Final = (
    *("cluster", "endpoint", "listener", "route", "secret"),
    *("virtual_host", "scoped_route", "extension_config", "runtime"),
)
"""What Envoys can be sent, as `xds.order` names it."""
WORST_FIRST: Final = (REJECTED, STALE, NOT_SENT, SYNCED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One node as one replica knows it. `body` is its JSON form; `target` the revision it ought to have."""

    body: Mapping[str, Any]
    replica: str
    target: int

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def group(self) -> str:
        return str(self.body["group"])

    @property
    def region(self) -> str:
        return str(self.body["region"])

    @property
    def envoy(self) -> str:
        return str(self.body["version"])

    @property
    def connected_at(self) -> float:
        return float(self.body["connected_at"])

    @property
    def settled_revision(self) -> int:
        return int(self.body["settled_revision"])

    @property
    def settled_tag(self) -> str:
        """The push that it has all of, where pushes go out in waves."""
        return str(self.body.get("settled_tag", ""))

    @property
    def is_canary(self) -> bool:
        """Whether it says that it is a canary."""
        return bool(self.body.get("canary"))

    @property
    def lag(self) -> int:
        """How many revisions it is behind what its replica publishes."""
        return max(0, self.target - self.settled_revision)

    @property
    def types(self) -> Mapping[str, Mapping[str, Any]]:
        """Each type's JSON form by name, with `state` and `since`."""
        found: Mapping[str, Mapping[str, Any]] = self.body["types"]
        return found

    @property
    def held(self) -> list[Mapping[str, Any]]:
        """What it is not sent."""
        return list(self.body["held"])

    @property
    def state(self) -> str:
        """As its worst type stands, or STALE where it is behind."""
        states = {status["state"] for status in self.types.values()}
        if self.lag:
            states.add(STALE)
        return next((state for state in WORST_FIRST if state in states), NOT_SENT)

    def to_json(self) -> dict[str, Any]:
        return {**self.body, "replica": self.replica, "target_revision": self.target, "state": self.state}

    @classmethod
    def of_json(cls, body: Mapping[str, Any]) -> NodeRecord:
        """Read what `to_json` gave. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(body=body, replica=str(body["replica"]), target=int(body["target_revision"]))


def encode_part(bodies: Iterable[Mapping[str, Any]]) -> bytes:
    """Write nodes down compactly. Equal nodes give equal bytes."""
    return zlib.compress(json.dumps(list(bodies), separators=(",", ":"), sort_keys=True).encode(), 1)


def decode_part(value: bytes) -> list[Mapping[str, Any]]:
    """Read what `encode_part` wrote. Raises ValueError on anything else."""
    try:
        found = json.loads(zlib.decompress(value))
    except zlib.error as error:
        raise ValueError(f"is not compressed as nodes are: {error}") from error
    if not isinstance(found, list):
        raise ValueError("is no list of nodes")  # noqa: TRY004  bad input, not a bug of the caller
    return found
