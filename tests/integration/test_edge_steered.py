"""What cookies and tokens steer on a real Envoy: limited for each cell apart, and nobody else's traffic is
touched.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings
from tests.envoy.edge_rig import Answer, Edge, cell, running_edge, view_of
from tests.envoy.owners_rig import OVERRIDE, SESSION
from tests.envoy.rule_documents import parsed
from tests.envoy.token_samples import token

TOKEN = {
    "name": "token",
    "type": "match",
    "match": [{"type": "header", "name": "private-token", "as": "value"}],
    "transform": [{"type": "routable-token", "input": "${value}", "output": "token"}],
    "action": {"classify": [{"type": "cell_id", "value": "${token.c}"}]},
}


def session(cell_id: int) -> tuple[str, str]:
    return "cookie", f"_gitlab_session=cell-{cell_id}-abc"


async def answers(edge: Edge, count: int, *headers: tuple[str, str]) -> list[Answer]:
    return [await edge.send("/", *headers) for _ in range(count)]


async def statuses(edge: Edge, count: int, *headers: tuple[str, str]) -> Counter[int]:
    return Counter(each.status for each in await answers(edge, count, *headers))


async def test_a_cell_that_clients_steer_to_is_limited_and_no_other(tmp_path: Path) -> None:
    settings = EdgeSettings(
        listen_address="127.0.0.1", listen_port=free_port(), health_check_path="", steered_per_second=5
    )
    rules = parsed(OVERRIDE, TOKEN, SESSION)
    async with running_edge(tmp_path, (1, 2, 3), rules, settings) as edge:
        cells = [
            cell(each, ports=edge.ports(each), session_prefix=f"cell-{each}", weight=100 if each == 1 else 0)
            for each in (1, 2, 3)
        ]
        await edge.publish(view_of(*cells))
        await edge.envoy.ready()
        told = await answers(edge, 60, session(2))
        refused = [each for each in told if each.status == 429]
        assert 20 < len(refused) <= 55
        assert {(each.get("retry-after"), each.get("x-cellplane-cell")) for each in refused} == {
            ("1", "cell-2")
        }
        assert await statuses(edge, 4, session(3)) == {200: 4}
        stolen = await statuses(edge, 60, ("private-token", token("c:3\no:1", "glpat-")))
        assert stolen[429] > 20, "a token too, out of the same share"
        bare = ("private-token", "none")  # Lua reads it, and finds nothing
        read = await statuses(edge, 60, bare, session(3))
        assert read[429] > 20, "a cookie that comes with what Lua has to read, too"
        assert await statuses(edge, 40, bare) == await statuses(edge, 40) == {200: 40}
        assert await statuses(edge, 10, ("x-cellplane-override", "cell-2")) == {200: 10}
        counted = await edge.envoy.stats("vhost.edge.route.steered-cell-2.upstream_rq_total")
        assert list(counted.values()) == [60 - len(refused)]
        limited = await edge.envoy.stat("edge.http_local_rate_limit.rate_limited")
        assert limited == len(refused) + stolen[429] + read[429]
        scraped = await edge.envoy.admin("/stats/prometheus?filter=rate_limited")
        name = "envoy_http_local_rate_limit_rate_limited"
        assert f'{name}{{envoy_local_http_ratelimit_prefix="edge"}} {limited}' in scraped, scraped
