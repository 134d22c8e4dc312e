"""What makes a cell's record good by itself: every field checked, every fault named with its path and fix.

The codec asks before it lets a record in, planning before it writes one. What a cell may not share with
others is `uniqueness`'s to say. `etcd Event -> View -> Snapshot -> Response`: what an Event must be to enter
the View.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from topology import forms
from topology.model import (
    MAX_DRAIN_SECONDS,
    MAX_ID,
    MAX_SEQUENCE,
    MAX_WEIGHT,
    PROTOCOLS,
    QUARANTINABLE,
    Cell,
    CellState,
    Endpoint,
    Problem,
    SequenceRange,
    Stamp,
)


def cell_problems(cell: Cell) -> tuple[Problem, ...]:
    """Say everything that is wrong with a cell by itself; what it shares with others, planning checks."""
    return tuple(_cell_problems(cell))


def stamp_problems(stamp: Stamp) -> tuple[Problem, ...]:
    """Say what is wrong with a stamp. The reason may be empty, the author may not."""
    found = (
        _problem("updated_by", forms.text_problem(stamp.updated_by, required=True)),
        _problem("updated_at", forms.utc_problem(stamp.updated_at)),
        _problem("reason", forms.text_problem(stamp.reason, required=False)),
    )
    return tuple(problem for problem in found if problem)


def sequence_problems(ranges: tuple[SequenceRange, ...]) -> Iterator[Problem]:
    """Say what is wrong with a cell's sequences among themselves."""
    for at, sequence in enumerate(ranges):
        path = f"sequence_ranges[{at}]"
        if sequence.minval < 1:
            yield Problem(
                field=f"{path}.minval", message=f"{sequence.minval} is below 1: start at 1 or above"
            )
        if sequence.maxval > MAX_SEQUENCE:
            yield Problem(
                field=f"{path}.maxval",
                message=f"{sequence.maxval} is too high: end at {MAX_SEQUENCE} or below",
            )
        if sequence.maxval < sequence.minval:
            yield Problem(
                field=f"{path}.maxval",
                message=f"{sequence.maxval} is below minval {sequence.minval}: swap the two",
            )
        for before, other in enumerate(ranges[:at]):
            if sequence.minval <= other.maxval and other.minval <= sequence.maxval:
                yield Problem(
                    field=path, message=f"overlaps sequence_ranges[{before}]: give each id to one range"
                )


def _problem(path: str, message: str | None) -> Problem | None:
    return Problem(field=path, message=message) if message else None


def _cell_problems(cell: Cell) -> Iterator[Problem]:
    checks: Iterable[Problem | None] = (
        _within("id", cell.id, 1, MAX_ID),
        _problem("name", forms.label_problem(cell.name)),
        _problem("session_prefix", forms.prefix_problem(cell.session_prefix)),
        _within("capacity", cell.capacity, 0, MAX_SEQUENCE),
        _within("weight", cell.weight, 0, MAX_WEIGHT),
        _within("ring", cell.ring, 0, MAX_ID),
        _within("epoch", cell.epoch, 1, MAX_SEQUENCE),
        _problem("region", forms.zone_problem(cell.region)),
    )
    yield from (problem for problem in checks if problem)
    for protocol, address in cell.addresses.items():
        if protocol not in PROTOCOLS:
            message = f"{protocol!r} is no protocol: use one of {', '.join(PROTOCOLS)}"
            yield Problem(field=f"addresses.{protocol}", message=message)
        elif message := forms.address_problem(address) or "":
            yield Problem(field=f"addresses.{protocol}", message=message)
    yield from _endpoint_problems(cell.endpoints)
    yield from sequence_problems(cell.sequence_ranges)
    yield from _state_problems(cell)
    yield from stamp_problems(cell.stamp)


def _within(path: str, value: int, least: int, most: int) -> Problem | None:
    if least <= value <= most:
        return None
    return Problem(field=path, message=f"{value} is out of range: use {least} to {most}")


def _endpoint_problems(endpoints: tuple[Endpoint, ...]) -> Iterator[Problem]:
    if not endpoints:
        yield Problem(field="endpoints", message="there is none: name at least one host and port")
        return
    seen: dict[tuple[str, int], int] = {}
    for at, endpoint in enumerate(endpoints):
        path = f"endpoints[{at}]"
        if message := forms.host_problem(endpoint.host):
            yield Problem(field=f"{path}.host", message=message)
        elif endpoint.is_ip != endpoints[0].is_ip and not forms.host_problem(endpoints[0].host):
            message = "endpoints[0] is of the other kind: make all hosts IP addresses, or all DNS names"
            yield Problem(field=f"{path}.host", message=message)
        if problem := _within(f"{path}.port", endpoint.port, 1, 65535):
            yield problem
        if problem := _problem(f"{path}.zone", forms.zone_problem(endpoint.zone)):
            yield problem
        if problem := _within(f"{path}.weight", endpoint.weight, 0, MAX_WEIGHT):
            yield problem
        first = seen.setdefault((forms.canonical_host(endpoint.host), endpoint.port), at)
        if first != at:
            yield Problem(field=path, message=f"repeats endpoints[{first}]: leave one of them out")
    if not any(endpoint.weight for endpoint in endpoints):
        yield Problem(
            field="endpoints",
            message="all weights are 0: give one more than 0; to take the cell away, change its state",
        )


def _state_problems(cell: Cell) -> Iterator[Problem]:
    draining = CellState.DRAINING in (cell.state, cell.previous_state)
    if draining and cell.drain is None:
        yield Problem(
            field="drain", message="is missing in a draining cell: say since when and over how many seconds"
        )
    if cell.drain is not None:
        if not draining:
            yield Problem(field="drain", message=f"has no meaning in state {cell.state}: leave it out")
        if message := forms.utc_problem(cell.drain.started_at):
            yield Problem(field="drain.started_at", message=message)
        if problem := _within("drain.seconds", cell.drain.seconds, 0, MAX_DRAIN_SECONDS):
            yield problem
    if cell.state is CellState.QUARANTINED and cell.previous_state not in QUARANTINABLE:
        message = f"must say which of {', '.join(QUARANTINABLE)} the cell goes back to"
        yield Problem(field="previous_state", message=message)
    if cell.state is not CellState.QUARANTINED and cell.previous_state is not None:
        yield Problem(field="previous_state", message=f"has no meaning in state {cell.state}: leave it out")
