"""The groups of nodes that sidecars are in: one for each cell.

Whoever publishes to sidecars, counts them or leads a wave asks here. Names alone (`View -> Snapshot`).
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "sidecar/"


def group_of(cell_id: int | str) -> str:
    """Name the group of a cell's sidecars."""
    return f"{PREFIX}{cell_id}"


def is_sidecar(group: str) -> bool:
    """Tell whether a group is some cell's sidecars."""
    return group.startswith(PREFIX)
