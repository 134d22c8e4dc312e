from __future__ import annotations

from dataclasses import replace

from envoy.decision import BLOCKED
from tests.envoy.edge_rig import cell
from topology.checks import cell_problems


def test_no_cell_can_have_the_id_that_blocks_an_owner() -> None:
    (problem,) = cell_problems(replace(cell(1), id=BLOCKED))
    assert problem.field == "id"
