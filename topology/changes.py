"""What differs between two versions of a cell, in lines for people: dry runs and lost races are told with it.

Planning and `apply` hand it two records. It judges nothing. Third road: a planned `Txn` and how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from topology.model import Cell, Drain, Endpoint, SequenceRange


def differences(before: Cell | None, after: Cell | None) -> tuple[str, ...]:
    """Tell field by field what changed; who did it stands at the end."""
    if before is None and after is None:
        return ()
    if before is None and after is not None:
        return (f"cell {after.id}: is there now, in {after.state}", _author(after))
    if after is None:
        return (f"cell {before.id if before else 0}: is gone",)
    if before is None:
        raise AssertionError("both versions are missing, which was asked first")
    lines = [f"{name}: {_show(old)} → {_show(new)}" for name, old, new in _changed(before, after)]
    if before.stamp != after.stamp:
        lines.append(_author(after))
    return tuple(lines)


def _changed(before: Cell, after: Cell) -> Iterator[tuple[str, Any, Any]]:
    for each in fields(Cell):
        if each.name == "stamp":
            continue
        old, new = getattr(before, each.name), getattr(after, each.name)
        if old != new:
            yield each.name, old, new


def _author(cell: Cell) -> str:
    because = f": {cell.stamp.reason}" if cell.stamp.reason else ""
    return f"by {cell.stamp.updated_by} at {cell.stamp.updated_at}{because}"


def _show(value: Any) -> str:
    match value:
        case None | "" | ():
            words = "none"
        case bool():
            words = "yes" if value else "no"
        case Endpoint():
            host = f"[{value.host}]" if ":" in value.host else value.host
            zone = f" in {value.zone}" if value.zone else ""
            words = f"{host}:{value.port}{zone} weight {value.weight}"
        case SequenceRange():
            words = f"{value.minval}-{value.maxval}"
        case Drain():
            words = f"{value.seconds} s from {value.started_at}"
        case tuple():
            words = ", ".join(_show(each) for each in value)
        case Mapping():
            words = ", ".join(f"{name}={text}" for name, text in value.items()) or "none"
        case _:
            words = str(value)
    return words
