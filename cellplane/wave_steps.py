"""What comes next for a wave: begin, widen, end, halt, or wait. One look at the fleet in, one step out.

The leader looks, and writes down the step that comes out; so whoever leads after it goes on from there. Pure:
it reads no clock and asks nobody (`View -> Snapshot`, a few nodes at a time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cellplane.fleet_record import NodeRecord
from cellplane.publisher_state import Standing
from cellplane.pushes import EDGE
from cellplane.sidecar_groups import is_sidecar
from cellplane.wave_change import concerns_sidecars
from cellplane.wave_record import Wave, WaveSettings, WaveState, Word, bound_for


class Outcome(StrEnum):
    """How a wave ended, if it did."""

    GOING = "GOING"
    DONE = "DONE"
    HALTED = "HALTED"
    WITHDRAWN = "WITHDRAWN"
    SENT = "SENT TO ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything that a step depends on.

    `nodes` are those that the change is about, `lost` those of the wave that are away for too long. `blocked`
    says why nothing may begin, `unwatched` why nothing may go on, `alarm` why it must stop.
    """

    now: float
    settings: WaveSettings
    standing: Standing
    order: Word | None
    nodes: Sequence[NodeRecord]
    lost: Sequence[str] = ()
    blocked: str = ""
    unwatched: str = ""
    alarm: str = ""

    @property
    def wave(self) -> Wave:
        return self.standing.split.wave


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where the wave stands next. `push` is whose story it belongs to, `what` a line of it.

    `keeps_newest`: the newest View is what its `next` names, or its `good` where it has none.
    """

    wave: Wave
    push: str
    outcome: Outcome
    what: str
    keeps_newest: bool = False


def next_step(look: Look) -> Step | None:
    """Say what comes next; None where there is nothing to do but wait."""
    wave, standing = look.wave, look.standing
    match wave.state:
        case WaveState.READY:
            return _begun(look) if standing.waits and not look.blocked else None
        case WaveState.HALTED:
            return _after_halt(look)
        case WaveState.GOING:
            return _going(look)


def members(wave: Wave, nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    """Give the nodes that belong to a wave."""
    return [node for node in nodes if wave.takes(node.id, node.is_canary, sidecar=is_sidecar(node.group))]


def concerned(standing: Standing, nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    """Give the nodes that what is tried, or waits, is about: edges, and sidecars where it is about rules."""
    tried = standing.split.tried if standing.split.wave.state is WaveState.GOING else None
    both = concerns_sidecars(standing.split.base, tried or standing.newest)
    return [node for node in nodes if node.group == EDGE or (both and is_sidecar(node.group))]


def _after_halt(look: Look) -> Step | None:
    wave = look.wave
    if look.order is Word.RETRY:
        return _begun(look) if not look.blocked else None
    if look.standing.waits and not look.standing.split.is_overtaken(look.standing.newest):
        return None
    what = "its records were written again: nothing of it is left to send"
    return Step(wave=_idle(wave), push=wave.id, outcome=Outcome.HALTED, what=what)


def _going(look: Look) -> Step | None:
    wave, standing = look.wave, look.standing
    if look.order is Word.HALT:
        return _halted(look, "by an operator's word")
    if not standing.waits or standing.split.is_overtaken(standing.newest):
        what = "its records were written again: back to the last good state"
        return Step(wave=_idle(wave), push=wave.id, outcome=Outcome.WITHDRAWN, what=what)
    found = members(wave, look.nodes)
    if reason := _rejection(wave, found) or look.alarm or _missing(look, found):
        return _halted(look, reason)
    if look.unwatched or look.now < wave.stage_at + _bake(look):
        return None
    if any(not _has(wave, node) and not _is_late(look, node) for node in found):
        return None
    return _widened(look, wave, wave.stage + 1)


def _begun(look: Look) -> Step:
    """Begin a wave with the first stage that has a node."""
    standing = look.standing
    identity = standing.push_id
    fresh = replace(
        _idle(look.wave),
        id=identity,
        state=WaveState.GOING,
        next=identity,
        revision=standing.newest.revision,
        began_at=look.now,
    )
    return replace(_widened(look, fresh, 0), keeps_newest=True)


def _widened(look: Look, wave: Wave, stage: int) -> Step:
    """Take more nodes in, by the next stage that has any; without one all follow."""
    before = len(members(wave, look.nodes)) if stage else 0
    edges = [node.id for node in look.nodes if not is_sidecar(node.group)]
    sidecars = [node.id for node in look.nodes if is_sidecar(node.group)]
    of = len(look.nodes)
    for number in range(stage, len(look.settings.stages)):
        percent = look.settings.stages[number].percent
        wider = replace(
            wave,
            stage=number,
            bound=max(wave.bound, bound_for(wave.id, edges, percent)),
            sidecar_bound=max(wave.sidecar_bound, bound_for(wave.id, sidecars, percent)),
            percent=percent,
            stage_at=look.now,
        )
        taken = len(members(wider, look.nodes))
        if before < taken < of:
            wider = replace(wider, nodes=taken, of=of)
            what = f"{look.settings.stages[number]}: {taken} of {of} nodes"
            return Step(wave=wider, push=wave.id, outcome=Outcome.GOING, what=what)
    done = replace(_idle(wave), good=wave.next)
    return Step(wave=done, push=wave.id, outcome=Outcome.DONE, what=f"all {of} nodes")


def _halted(look: Look, reason: str) -> Step:
    halted = replace(look.wave, state=WaveState.HALTED, reason=reason[:500])
    what = f"halted, all are back at the last good state: {reason[:500]}"
    return Step(wave=halted, push=look.wave.id, outcome=Outcome.HALTED, what=what)


def _idle(wave: Wave) -> Wave:
    return Wave(id=wave.id, group=wave.group, state=WaveState.READY, good=wave.good)


def _bake(look: Look) -> float:
    stages = look.settings.stages
    return stages[look.wave.stage].bake_seconds if look.wave.stage < len(stages) else 0.0


def _has(wave: Wave, node: NodeRecord) -> bool:
    """Tell whether a node has acknowledged all of the wave; a cluster that warms keeps its type from it."""
    return node.settled_tag == wave.id


def _is_late(look: Look, node: NodeRecord) -> bool:
    since = max(look.wave.stage_at, node.connected_at)
    return not _has(look.wave, node) and look.now - since > look.settings.patience_seconds


def _rejection(wave: Wave, found: Sequence[NodeRecord]) -> str:
    for node in found:
        for kind, status in node.types.items():
            nack = status["last_nack"]
            if nack and str(nack["version"]).isdecimal() and int(nack["version"]) >= wave.revision:
                names = ", ".join(nack["names"]) or "(not named)"
                return f"{node.id} rejected {kind} {names}: {nack['message']}"
    return ""


def _missing(look: Look, found: Sequence[NodeRecord]) -> str:
    late = [node.id for node in found if _is_late(look, node)]
    gone = len(late) + len(look.lost)
    if not gone or gone * 100 <= look.settings.most_lost_percent * (len(found) + len(look.lost)):
        return ""
    told = []
    if look.lost:
        told.append(f"{len(look.lost)} lost their stream and did not come back ({', '.join(look.lost[:3])})")
    if late:
        patience = f"{look.settings.patience_seconds:g} s"
        told.append(f"{len(late)} have not acknowledged within {patience} ({', '.join(late[:3])})")
    return "; ".join(told)
