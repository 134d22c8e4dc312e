"""Sidecars have a group for each cell."""

from __future__ import annotations

from cellplane.sidecar_groups import group_of, is_sidecar


def test_a_cells_sidecars_are_known_by_their_group() -> None:
    assert group_of(3) == "sidecar/3"
    assert is_sidecar(group_of(3))
    assert not is_sidecar("edge")
