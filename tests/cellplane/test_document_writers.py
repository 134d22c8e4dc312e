"""What must hold for rules and releases that are written through the service."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cellplane.document_writers import WRITERS
from cellplane.pushes import HELD, HeldPush
from envoy.rules import DEFAULT_DOCUMENT
from tests.cellplane.views import STAMP
from topology.model import Document
from topology.planning import Plan, Refusal
from topology.view import View

PUSH = HeldPush(
    id="0a1b2c3d", group="edge", revision=7, reason="", clusters_before=4, clusters_after=1, held_at="now"
)
VIEW = View(
    documents=MappingProxyType(
        {
            (HELD, "edge"): Document(kind=HELD, name="edge", body=PUSH.body(), stamp=STAMP),
            ("pushes-rejected", "edge/cluster/a"): Document(
                kind="pushes-rejected", name="edge/cluster/a", body={}, stamp=STAMP
            ),
        }
    ),
    mod_revisions=MappingProxyType({"/cellplane/v1/pushes-rejected/edge%2Fcluster%2Fa": 3}),
)


def plan(kind: str, name: str, body: Mapping[str, Any] | None) -> Plan | str:
    outcome = WRITERS[kind](VIEW, name, body, STAMP)
    if isinstance(outcome, Refusal):
        return "; ".join(map(str, outcome.problems))
    assert isinstance(outcome, Plan), outcome
    return outcome


def test_a_ruleset_must_hold() -> None:
    made = plan("rules", "current", DEFAULT_DOCUMENT)
    assert isinstance(made, Plan)
    assert [key for key, _ in made.txn.puts] == [
        "/cellplane/v1/rules/current",
        "/cellplane/v1/rules/version-000001",
    ]
    bad = {"schema": 1, "rules": [{"name": "x", "type": "nonsense"}]}
    assert "rules[0].type" in str(plan("rules", "current", bad))
    assert "is history" in str(plan("rules", "version-000001", DEFAULT_DOCUMENT))
    assert "never deleted" in str(plan("rules", "current", None))


def test_a_push_is_released_while_it_is_held() -> None:
    made = plan("pushes-released", PUSH.id, {})
    assert isinstance(made, Plan)
    ((key, value),) = made.txn.puts
    assert key == f"/cellplane/v1/pushes-released/{PUSH.id}"
    assert b'"group": "edge"' in value.replace(b'":"', b'": "')
    assert "no push 'ffffffff' is held" in str(plan("pushes-released", "ffffffff", {}))
    assert "not taken back" in str(plan("pushes-released", PUSH.id, None))


def test_what_is_held_against_a_version_is_only_ended() -> None:
    made = plan("pushes-rejected", "edge/cluster/a", None)
    assert isinstance(made, Plan)
    assert made.txn.deletes == ("/cellplane/v1/pushes-rejected/edge%2Fcluster%2Fa",)
    assert "only the control plane writes" in str(plan("pushes-rejected", "edge/cluster/a", {}))
    assert "is not there" in str(plan("pushes-rejected", "edge/cluster/b", None))


def test_a_freeze_is_of_everything_and_has_a_reason() -> None:
    made = plan("pushes-frozen", "all", {})
    assert isinstance(made, Plan)
    assert made.summary[0].startswith("pushes: FREEZE: nothing goes out to any Envoy")
    assert "name 'all'" in str(plan("pushes-frozen", "edge", {}))
    assert "pushes are not frozen" in str(plan("pushes-frozen", "all", None))


def test_what_the_machinery_writes_is_not_open() -> None:
    assert "pushes-wave" not in WRITERS
    assert set(WRITERS) == {
        "certificates",
        "overrides",
        "rules",
        "rules-shadow",
        "sidecars-forgotten",
        "pushes-delivery",
        "pushes-frozen",
        "pushes-order",
        "pushes-rejected",
        "pushes-released",
        "pushes-rollback",
        "zones-drained",
    }


def test_a_candidate_must_hold() -> None:
    made = plan("rules-shadow", "candidate", {"percent": 5, "ruleset": DEFAULT_DOCUMENT})
    assert isinstance(made, Plan)
    assert [key for key, _ in made.txn.puts] == ["/cellplane/v1/rules-shadow/candidate"]
    assert "is none" in str(plan("rules-shadow", "other", {}))
    assert "percent" in str(plan("rules-shadow", "candidate", {"percent": 0, "ruleset": DEFAULT_DOCUMENT}))
    assert "rules" in str(plan("rules-shadow", "candidate", {"percent": 5, "ruleset": {"schema": 1}}))
    assert "nothing is to be deleted" in str(plan("rules-shadow", "candidate", None))


def test_certificates_are_the_edges_and_files() -> None:
    made = plan("certificates", "edge", {"schema": 1, "certificate": "/c.pem", "key": "/k.pem"})
    assert isinstance(made, Plan)
    assert [key for key, _ in made.txn.puts] == ["/cellplane/v1/certificates/edge"]
    assert "key: None is no file" in str(plan("certificates", "edge", {"schema": 1, "certificate": "/c.pem"}))
    assert "nobody's" in str(plan("certificates", "other", {}))
    assert "nothing is to be deleted" in str(plan("certificates", "edge", None))
