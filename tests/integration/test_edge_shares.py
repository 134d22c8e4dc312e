"""Unowned traffic among many cells on a real Envoy: each gets its share, and one with no weight nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.envoy.edge_rig import cell, running_edge, view_of

CELLS, REQUESTS = 40, 4_000


async def test_forty_cells_get_their_shares(tmp_path: Path) -> None:
    async with running_edge(tmp_path, [1]) as edge:
        ports = edge.ports(1)
        weights = {
            number: 0 if number == 7 else 300 if number == 9 else 100 for number in range(1, CELLS + 1)
        }
        cells = [cell(number, ports=ports, weight=weight) for number, weight in weights.items()]
        await edge.publish(view_of(*cells))
        await edge.envoy.ready()
        seen: Counter[str] = Counter()
        for _ in range(REQUESTS):
            seen[(await edge.send()).get("x-cellplane-cell")] += 1

    whole = sum(weights.values())
    assert seen["cell-7"] == 0
    for number, weight in weights.items():
        expected = REQUESTS * weight / whole
        # Six standard deviations: no chance failure in any lifetime.
        assert abs(seen[f"cell-{number}"] - expected) <= 6 * max(expected, 1.0) ** 0.5, (
            number,
            expected,
            seen,
        )
