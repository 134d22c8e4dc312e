"""Rules of type match on a real Envoy: decided as the evaluator decides, by matchers or by generated Lua."""

from __future__ import annotations

from pathlib import Path

from tests.envoy import match_table
from tests.envoy.corpus import generated, written
from tests.envoy.replay import differences, matching_edge


async def test_envoy_and_the_evaluator_match_alike(tmp_path: Path) -> None:
    async with matching_edge(tmp_path) as edge:
        wrong = await differences(edge, list(match_table.rows()))
        assert not wrong, "\n".join(wrong)
        assert await edge.envoy.stat("http.edge.lua.errors") == 0
        assert "[warning]" not in edge.envoy.log_tail(), "Envoy has something to say about its configuration"


async def test_what_nobody_thought_of_is_decided_alike_too(tmp_path: Path) -> None:
    """A small part of the corpus; `make prove PROOF=decisions` replays it whole."""
    assert len(list(written())) >= 300
    async with matching_edge(tmp_path) as edge:
        wrong = await differences(edge, list(generated(300, seed=7)))
        assert not wrong, "\n".join(wrong)
        assert await edge.envoy.stat("http.edge.lua.errors") == 0
        assert await edge.envoy.stat("http.edge.lua.executions") > 50, "the requests are worth it"
