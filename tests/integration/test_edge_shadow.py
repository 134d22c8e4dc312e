"""A candidate ruleset beside the one in force, on a real Envoy: seen, counted, and felt by no request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cellplane.rules_in_force import RulesInForce
from cellplane.rules_shadow import RulesShadow
from envoy.ext_proc_cluster import SHADOW_CLUSTER
from envoy.shadow import KIND, NAME
from pb.envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb2
from tests.envoy.edge_rig import STAMP
from tests.envoy.owners_rig import OVERRIDE, PATH, SESSION, AskingEdge, asking_edge, owner_rules
from tests.processes import eventually
from topology.model import Document
from topology.service.sources import Sources
from topology.view import View

DEFAULT = {"name": "default", "type": "default"}
DOWNLOADS = {
    "name": "downloads",
    "type": "match",
    "match": [{"type": "path", "prefix": "/acme/downloads"}],
    "action": {"cell": 3},
}
LIVE = {"schema": 2, "reserved": ["users"], "rules": [OVERRIDE, PATH, SESSION, DEFAULT]}
WANTED = {**LIVE, "rules": [OVERRIDE, DOWNLOADS, PATH, SESSION, DEFAULT]}


def with_documents(view: View, revision: int, **bodies: Mapping[str, Any]) -> View:
    names = {"rules": ("rules", "current"), "candidate": (KIND, NAME)}
    documents = {
        names[each]: Document(kind=names[each][0], name=names[each][1], body=body, stamp=STAMP)
        for each, body in bodies.items()
    }
    return replace(view, revision=revision, documents=MappingProxyType(documents))


async def test_what_would_go_elsewhere_is_counted_and_nothing_goes(tmp_path: Path) -> None:
    shadows: list[RulesShadow] = []

    def shown(message: ext_proc_pb2.ProcessingRequest) -> None:
        for each in shadows:
            each.shown(message)

    async with asking_edge(tmp_path, server={"shown": shown}) as asking:
        rules = RulesInForce()
        shadow = RulesShadow(Sources(lambda: asking.owners.view, asking.owners.follower), rules)
        shadows.append(shadow)
        asking.owners.own(2, "acme")

        async def take(view: View) -> None:
            rules.read(view)
            shadow.read(view)
            await asking.publish(view, owner_rules())

        async def seen(count: int) -> Counter[tuple[str, str, str]]:
            async def all_shown() -> bool:
                return shadow.counts.counts.total() >= count

            await eventually(all_shown, f"{count} requests to be shown")
            return shadow.counts.counts

        assert await asking.get("/acme/downloads/1") == "path 2"
        before = await asking.edge.envoy.stat("listener_manager.listener_modified")
        await take(with_documents(asking.view, 20, rules=LIVE, candidate={"percent": 100, "ruleset": WANTED}))
        assert await _all_kinds(asking) == ["path 2", "path 2", "session 1", "override 4", "default 1"]
        assert await seen(5) == {
            ("path", "downloads", "elsewhere"): 1,
            ("path", "path", "same"): 1,
            ("session", "session", "same"): 1,
            ("override", "override", "same"): 1,
            ("default", "default", "same"): 1,
        }
        (moved,) = shadow.counts.moved
        assert (moved.path, moved.live, moved.candidate) == (
            "/acme/downloads/1",
            "path: cell-2",
            "downloads: cell-3",
        )
        # A share is a share, and without a candidate nothing is shown.
        await take(with_documents(asking.view, 21, rules=LIVE, candidate={"percent": 25, "ruleset": WANTED}))
        for _ in range(80):
            assert await asking.get("/acme/x") == "path 2"
        assert 5 <= (await seen(5)).total() <= 40
        # Envoy's own count: what it has sent may reach the server later.
        streams = await asking.edge.envoy.stat(f"cluster.{SHADOW_CLUSTER}.upstream_rq_total")
        assert streams > 5
        await take(with_documents(asking.view, 22, rules=LIVE))
        assert await _all_kinds(asking) == ["path 2", "path 2", "session 1", "override 4", "default 1"]
        assert await asking.edge.envoy.stat(f"cluster.{SHADOW_CLUSTER}.upstream_rq_total") == streams
        assert await asking.edge.envoy.stat("listener_manager.listener_modified") == before


async def _all_kinds(asking: AskingEdge) -> list[str]:
    return [
        await asking.get("/acme/downloads/1?private_token=secret"),
        await asking.get("/acme/x"),
        await asking.get("/users/x", ("cookie", "_gitlab_session=cell-1-a")),
        await asking.get("/users/x", ("x-cellplane-override", "cell-4")),
        await asking.get("/users/x"),
    ]
