"""What follows where a rule matches and leads to no cell: each outcome with each policy, on a real Envoy, and
each counted for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envoy.rules import Ruleset
from tests.envoy.owners_rig import SESSION, asking_edge
from tests.envoy.rule_documents import parsed

POLICIES: Mapping[str, Any] = {"next": "next", "default": "default", "wrong": 400, "closed": 503}
FOLLOWS = {
    "next": "session 2",
    "default": "default 1",
    "wrong": "{rule} status 400",
    "closed": "{rule} status 503",
}
SESSION_OF_TWO = "_gitlab_session=cell-2-0123"
BROKEN = "glpat-EL25d_AKXDUtqLnIQHEpkG86MQM.01.0r0000000"


def rules() -> Ruleset:
    found: list[dict[str, Any]] = []
    for name, policy in POLICIES.items():
        chosen = {"type": "header", "name": "x-policy", "value": name}
        token = {"type": "routable-token", "input": "${value}", "output": "token"}
        found += [
            {
                "name": f"claim-{name}",
                "type": "match",
                "match": [chosen, {"type": "path", "template": "/c/:name"}],
                "action": {"classify": [{"type": "route", "value": "${name}"}]},
                "otherwise": dict.fromkeys(("not_found", "undecided", "unknown"), policy),
            },
            {
                "name": f"token-{name}",
                "type": "match",
                "match": [chosen, {"type": "header", "name": "private-token", "as": "value"}],
                "transform": [token],
                "action": {"classify": [{"type": "cell_id", "value": "${token.c}"}]},
                "otherwise": {"malformed": policy},
            },
            {
                "name": f"cookie-{name}",
                "type": "match",
                "match": [chosen, {"type": "cookie", "name": "at", "as": "value"}],
                "action": {"classify": [{"type": "cell_id", "value": "${value}"}]},
                "otherwise": {"ambiguous": policy},
            },
        ]
    return parsed(*found, SESSION)


async def test_each_outcome_follows_its_policy_and_is_counted(tmp_path: Path) -> None:
    async with asking_edge(tmp_path, rules()) as asking:
        asking.owners.own(4, "provisioning")
        requests: list[tuple[str, str, str, tuple[tuple[str, str], ...]]] = [
            ("claim", "not_found", "/c/nobody", ()),
            ("claim", "unknown", "/c/provisioning", ()),
            ("token", "malformed", "/", (("private-token", BROKEN),)),
            ("cookie", "ambiguous", "/", (("cookie", f"at=1; {SESSION_OF_TWO}; at=3"),)),
            ("claim", "undecided", "/c/unheard", ()),
        ]
        found, expected = {}, {}
        for kind, outcome, path, headers in requests:
            if outcome == "undecided":
                await asking.owners.server.stop(0)
            cookie = () if kind == "cookie" else (("cookie", SESSION_OF_TWO),)
            for name, follows in FOLLOWS.items():
                asked = (("x-policy", name), *headers, *cookie)
                found[outcome, name] = await asking.get(path, *asked)
                expected[outcome, name] = follows.format(rule=f"{kind}-{name}")
        assert found == expected
        counted = await asking.edge.envoy.stats("^cellplane.rule")
        names = {
            f"cellplane.rule.{kind}-{name}.{outcome}" for kind, outcome, _, _ in requests for name in POLICIES
        }
        assert {name: value for name, value in counted.items() if value} == {
            f"{name}.ip_parsing_failed": 1 for name in names
        }
        assert await asking.edge.envoy.stat("http.edge.lua.errors") == 0
