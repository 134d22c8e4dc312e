"""How changes reach a group's Envoys in waves: what operators set and order, and where the wave stands.

The leader writes where it stands, every replica's publisher obeys it, commands write settings and orders. All
are documents in the topology, so that everybody sees them in one order with what they are about. Pure:
documents in, values out (`View -> Snapshot`, a few nodes at a time).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from math import ceil
from typing import Any, Final, TypeVar

from topology.view import View
from xds.nodes import Node

WAVE: Final = "pushes-wave"
SETTINGS: Final = "pushes-delivery"
ORDER: Final = "pushes-order"
CANARY: Final = "canary"
"""What a canary says of itself in its node's metadata: `canary: true`."""
NOBODY: Final = -1
T = TypeVar("T")


class Mode(StrEnum):
    """Whether changes go out in waves: `auto` means from `min_nodes` on."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class WaveState(StrEnum):
    """READY: nothing is under way. GOING: some nodes have the next state. HALTED: all are back at the good
    one.
    """

    READY = "READY"
    GOING = "GOING"
    HALTED = "HALTED"


class Word(StrEnum):
    """What an operator may order: send to all at once, go back, or begin again."""

    ALL = "all"
    HALT = "halt"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """So many per cent of the nodes, for at least so long. 0 per cent are the canaries alone."""

    percent: float
    bake_seconds: float

    def __str__(self) -> str:
        return f"{self.percent:g} %" if self.percent else "canaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A Prometheus query that gives numbers: one above the limit stops a wave."""

    name: str
    expression: str
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSettings:
    """How a group's changes go out.

    A push that takes away more than `most_gone_percent` of the clusters or routes does not go out by itself.
    After the last stage all nodes follow. A node has `patience_seconds` to acknowledge everything, and may be
    away for `lost_seconds`; more than `most_lost_percent` of a stage that do neither halt it.
    """

    mode: Mode = Mode.AUTO
    min_nodes: int = 10
    stages: tuple[Stage, ...] = (
        Stage(percent=0, bake_seconds=30),
        Stage(percent=1, bake_seconds=30),
        Stage(percent=10, bake_seconds=30),
        Stage(percent=50, bake_seconds=30),
    )
    patience_seconds: float = 60.0
    lost_seconds: float = 30.0
    most_lost_percent: float = 10.0
    most_gone_percent: float = 50.0
    prometheus: str = ""
    queries: tuple[Query, ...] = ()

    def body(self) -> dict[str, Any]:
        """Return the document's body."""
        return {**asdict(self), "stages": [asdict(one) for one in self.stages],
                "queries": [asdict(one) for one in self.queries]}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Where a group's wave stands.

    `good` and `next` name the states of before and after, as they are kept; `bound` is how far the edges are
    taken in, `sidecar_bound` how far the sidecars of all cells, where the wave is about rules; `nodes` is how
    many those were of all when the stage began, `revision` what the View had when the wave began. Times are
    Unix seconds.
    """

    id: str
    group: str
    state: WaveState
    good: str
    next: str = ""
    stage: int = 0
    bound: int = NOBODY
    sidecar_bound: int = NOBODY
    percent: float = 0
    nodes: int = 0
    of: int = 0
    revision: int = 0
    began_at: float = 0
    stage_at: float = 0
    reason: str = ""

    def body(self) -> dict[str, Any]:
        """Return the document's body."""
        return asdict(self)

    def takes(self, node_id: str, canary: bool, *, sidecar: bool = False) -> bool:
        """Tell whether a node belongs to the wave: canaries always, others in an order of the wave's own."""
        bound = self.sidecar_bound if sidecar else self.bound
        return self.state is WaveState.GOING and (canary or place(self.id, node_id) <= bound)


def is_canary(node: Node) -> bool:
    """Tell whether a node says that it is a canary."""
    return node.metadata.get(CANARY) is True


def place(wave_id: str, node_id: str) -> int:
    """Give a node's place in the order in which a wave takes nodes in: the same at every replica."""
    return int.from_bytes(sha256(f"{wave_id} {node_id}".encode()).digest()[:4])


def bound_for(wave_id: str, node_ids: list[str], percent: float) -> int:
    """Give the bound that takes in so many per cent of these nodes, and at least one."""
    if not node_ids or percent <= 0:
        return NOBODY
    places = sorted(place(wave_id, each) for each in node_ids)
    return places[min(len(places), max(1, ceil(len(places) * percent / 100))) - 1]


def wave_of(view: View, group: str) -> Wave | None:
    """Return where the group's wave stands; None where its changes go to all at once."""
    body = _body(view, WAVE, group)
    return None if body is None else _read(_wave, body)


def settings_of(view: View, group: str) -> WaveSettings:
    """Return how the group's changes go out; what is set wrongly is as if it were not set."""
    body = _body(view, SETTINGS, group)
    return (None if body is None else _read(read_settings, body)) or WaveSettings()


def order_of(view: View, wave: Wave) -> Word | None:
    """Return what an operator ordered of this very wave."""
    body = _body(view, ORDER, wave.group)
    if body is None or body.get("wave") != wave.id:
        return None
    return _read(lambda it: Word(it["word"]), body)


def read_settings(body: Mapping[str, Any]) -> WaveSettings:
    """Read a body. Raises KeyError, TypeError or ValueError on what is none."""
    return WaveSettings(
        mode=Mode(body["mode"]),
        min_nodes=int(body["min_nodes"]),
        stages=tuple(
            Stage(percent=float(one["percent"]), bake_seconds=float(one["bake_seconds"]))
            for one in body["stages"]
        ),
        patience_seconds=float(body["patience_seconds"]),
        lost_seconds=float(body["lost_seconds"]),
        most_lost_percent=float(body["most_lost_percent"]),
        most_gone_percent=float(body.get("most_gone_percent", 50.0)),
        prometheus=str(body["prometheus"]),
        queries=tuple(
            Query(name=str(one["name"]), expression=str(one["expression"]), limit=float(one["limit"]))
            for one in body["queries"]
        ),
    )


def _wave(body: Mapping[str, Any]) -> Wave:
    return Wave(
        id=str(body["id"]),
        group=str(body["group"]),
        state=WaveState(body["state"]),
        good=str(body["good"]),
        next=str(body["next"]),
        stage=int(body["stage"]),
        bound=int(body["bound"]),
        sidecar_bound=int(body.get("sidecar_bound", NOBODY)),
        percent=float(body["percent"]),
        nodes=int(body["nodes"]),
        of=int(body["of"]),
        revision=int(body["revision"]),
        began_at=float(body["began_at"]),
        stage_at=float(body["stage_at"]),
        reason=str(body["reason"]),
    )


def _body(view: View, kind: str, name: str) -> Mapping[str, Any] | None:
    document = view.documents.get((kind, name))
    return document.body if document is not None else None


def _read(read: Callable[[Mapping[str, Any]], T], body: Mapping[str, Any]) -> T | None:
    try:
        return read(body)
    except (KeyError, TypeError, ValueError):
        return None
