"""The history of rules: bounded, in step with what is in force, and a way back."""

from __future__ import annotations

from typing import Any

from cellplane.rules_history import KEPT, Version, plan_rules, version_to_restore, versions
from topology.apply import Applied, apply, read_view
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Stamp
from topology.planning import Outcome, Plan, Refusal, plan_document
from topology.view import View

KEYSPACE = Keyspace()


def body(at: int) -> dict[str, Any]:
    return {"schema": 1, "rules": [{"name": f"d{at}", "type": "default"}]}


def stamp(reason: str = "") -> Stamp:
    return Stamp(updated_by="ada", updated_at="2026-03-01T11:00:00Z", reason=reason)


async def done(store: MemoryStore, plan: Any) -> View:
    outcome = await apply(store, KEYSPACE, plan)
    assert isinstance(outcome, Applied), outcome
    return await read_view(store, KEYSPACE)


async def test_each_ruleset_is_a_version_and_the_oldest_go() -> None:
    store = MemoryStore()
    for at in range(1, KEPT + 4):

        def plan(view: View, at: int = at) -> Outcome:
            return plan_rules(view, body(at), stamp(f"r{at}"))

        view = await done(store, plan)
        kept = versions(view)
        assert [each.number for each in kept] == list(range(max(1, at - KEPT + 1), at + 1))
        assert kept[-1].body == view.documents["rules", "current"].body == body(at)
        assert kept[-1].stamp.reason == f"r{at}"


async def test_a_ruleset_from_before_the_history_is_its_first_version() -> None:
    store = MemoryStore()
    view = await done(store, lambda view: plan_document(view, "rules", "current", body(1), stamp("old")))
    assert [(each.number, each.stamp.reason) for each in versions(view)] == [(1, "old")]
    view = await done(store, lambda view: plan_rules(view, body(2), stamp("new")))
    assert [(each.number, each.stamp.reason) for each in versions(view)] == [(1, "old"), (2, "new")]


async def test_the_way_back() -> None:
    store = MemoryStore()
    view = await read_view(store, KEYSPACE)
    for at in (1, 2, 3):
        view = await done(store, lambda view, at=at: plan_rules(view, body(at), stamp()))
    before, first = version_to_restore(view, None), version_to_restore(view, 1)
    assert isinstance(before, Version)
    assert isinstance(first, Version)
    assert (before.body, first.body) == (body(2), body(1))


async def test_where_there_is_no_way_back() -> None:
    store = MemoryStore()
    view = await read_view(store, KEYSPACE)
    assert "no earlier version" in str(version_to_restore(view, None))
    assert "there are none" in str(version_to_restore(view, 1))
    view = await done(store, lambda view: plan_rules(view, body(1), stamp()))
    assert "there are 1 to 1" in str(version_to_restore(view, 7))


async def test_what_etcd_would_not_take_is_refused() -> None:
    view = await read_view(MemoryStore(), KEYSPACE)
    large = {**body(1), "reserved": ["x" * 60] * 9000}
    refusal = plan_rules(view, large, stamp())
    assert isinstance(refusal, Refusal)
    assert "keep both within" in refusal.problems[0].message
    assert isinstance(plan_rules(view, body(1), stamp()), Plan)
