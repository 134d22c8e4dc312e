"""What a real Envoy writes of requests: cell, rule, outcome, what deciding cost, and every override."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.envoy.owners_rig import OVERRIDE as OVERRIDE_RULE
from tests.envoy.owners_rig import AskingEdge, asking_edge
from tests.envoy.rule_documents import parsed

COUNTED = re.compile(r'^envoy_cellplane_decisions{rule="(.*?)",outcome="(.*?)"} (\d+)$', re.MULTILINE)
OVERRIDE = ("x-cellplane-override", "cell-4")


async def lines(asking: AskingEdge, folder: Path) -> list[dict[str, Any]]:
    """Stop Envoy, which writes down what it has gathered, and read it."""
    await asking.edge.envoy.stop()
    text = (folder / "envoy" / "envoy.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_a_line_for_each_request(tmp_path: Path) -> None:
    async with asking_edge(tmp_path, edge_settings={"access_log": True, "count_decisions": True}) as asking:
        asking.owners.own(2, "acme")
        await asking.get("/acme/web?private_token=secret", ("cookie", "_gitlab_session=cell-1-secret"))
        await asking.get("/acme/web")
        await asking.get("/users/x", ("cookie", "_gitlab_session=cell-5-secret"))
        await asking.get("/users/y", OVERRIDE, ("x-cellplane-operator", "forged"))
        counted = COUNTED.findall(await asking.edge.envoy.admin("/stats/prometheus?filter=decisions"))
        asked, remembered, quarantined, overridden = await lines(asking, tmp_path)
    assert sorted((rule, outcome, int(count)) for rule, outcome, count in counted) == [
        ("override", "", 1),
        ("path", "", 2),
        ("session", "QUARANTINED", 1),
    ]

    assert (asked["rule"], asked["cell"], asked["path"], asked["status"]) == (
        "path",
        "cell-2",
        "/acme/web",
        200,
    )
    assert asked["told"].splitlines()[0] == "2 1 60"
    assert 0 < int(asked["asked_us"]) <= asked["added_us"]
    assert "secret" not in json.dumps([asked, remembered, quarantined, overridden])
    assert (remembered["rule"], remembered["cell"]) == ("path", "cell-2")
    assert not {"told", "asked_us", "outcome", "operator"} & remembered.keys()
    assert remembered["added_us"] > 0
    assert (quarantined["rule"], quarantined["cell"]) == ("session", "cell-5")
    assert (quarantined["outcome"], quarantined["status"]) == ("QUARANTINED", 503)
    assert (overridden["rule"], overridden["cell"]) == ("override", "cell-4")
    assert overridden["operator"] == "127.0.0.1"


async def test_overrides_are_written_down_whatever_the_settings_say(tmp_path: Path) -> None:
    async with asking_edge(tmp_path) as asking:
        assert await asking.get("/users/x", ("x-cellplane-operator", "forged")) == "default 1"
        answer = await asking.edge.send("/users/y", OVERRIDE)
        assert answer.seen["x-cellplane-operator"] == ["127.0.0.1"], "the cell is told too"
        # From its moment on nobody may use it.
        over = parsed({**OVERRIDE_RULE, "until": "2026-03-01T12:00:00Z"})
        await asking.publish(replace(asking.view, revision=9), over)
        assert await asking.get("/users/y", OVERRIDE) == "default 1"
        assert await asking.edge.envoy.stat("cellplane.rule.override.refused.ip_parsing_failed") == 1
        (only,) = await lines(asking, tmp_path)
    assert (only["rule"], only["cell"], only["path"]) == ("override", "cell-4", "/users/y")
    assert (only["operator"], only["peer"], only["status"]) == ("127.0.0.1", "127.0.0.1", 200)
