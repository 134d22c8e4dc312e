from __future__ import annotations

from datetime import timedelta

import pytest

from envoy.standing import Access, cluster_name, standing
from tests.envoy.edge_rig import NOW, cell
from topology.model import CellState

OPEN, QUARANTINED, CLOSED = Access.OPEN, Access.QUARANTINED, Access.CLOSED


@pytest.mark.parametrize(
    ("state", "owned", "override", "weight", "has_cluster"),
    [
        (CellState.PROVISIONING, CLOSED, OPEN, 0, True),
        (CellState.CANARY, OPEN, OPEN, 100, True),
        (CellState.ACTIVE, OPEN, OPEN, 100, True),
        (CellState.CORDONED, OPEN, OPEN, 0, True),
        (CellState.DRAINING, OPEN, OPEN, 50, True),
        (CellState.DRAINED, CLOSED, CLOSED, 0, False),
        (CellState.DECOMMISSIONED, CLOSED, CLOSED, 0, False),
        (CellState.QUARANTINED, QUARANTINED, QUARANTINED, 0, True),
    ],
)
def test_what_a_state_means_at_the_edge(
    state: CellState, owned: Access, override: Access, weight: int, has_cluster: bool
) -> None:
    stands = standing(cell(7, state, session_prefix="eu"), NOW)
    assert (stands.cell_id, stands.session_prefix) == (7, "eu")
    assert (stands.owned, stands.override, stands.weight) == (owned, override, weight)
    assert stands.has_cluster is has_cluster


def test_a_drained_share_stays_at_zero() -> None:
    assert standing(cell(7, CellState.DRAINING), NOW + timedelta(minutes=1)).weight == 0


def test_a_cluster_is_named_after_the_cells_id() -> None:
    assert cluster_name(12) == "cell-12"
