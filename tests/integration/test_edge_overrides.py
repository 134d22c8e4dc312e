"""Overrides on a real Envoy, and the evaluator says the same: pin, block, pass over, and their ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from envoy.decision import Outcome
from envoy.evaluator import decide
from envoy.owners import overridden_at, remembered_owners
from envoy.request import Request
from tests.envoy.edge_rig import NOW, STAMP
from tests.envoy.owners_rig import AskingEdge, asking_edge, owner_rules
from topology import forms
from topology.model import Document
from topology.overrides import overrides_of

OWNER = "NAMESPACE/42"


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[AskingEdge]:
    async with asking_edge(tmp_path) as asking:
        asking.owners.own(3, "acme")
        yield asking


async def override(asking: AskingEdge, name: str, now: datetime = NOW, **body: Any) -> None:
    """Write an override as its writer does: what was remembered of the owner is void with it."""
    document = Document(kind="overrides", name=name, body=body, stamp=STAMP)
    documents = {**asking.view.documents, ("overrides", name): document}
    asking.view = replace(asking.view, documents=documents, revision=asking.view.revision + 1)
    asking.owners.revision += 1
    await asking.bump("acme")


def evaluated(asking: AskingEdge, path: str, now: datetime) -> tuple[Outcome, str, int | None, int]:
    overridden = overridden_at(overrides_of(asking.view.documents), now)
    lookup = remembered_owners(asking.owners.follower.index, overridden)
    request = Request(path=path, authority="edge.test", peer="127.0.0.1")
    found = decide(owner_rules(), asking.view, request, now, lookup=lookup)
    return found.outcome, found.rule, found.cell, found.status


def until(hours: float, now: datetime | None = None) -> str:
    return forms.format_utc((now or datetime.now(UTC)) + timedelta(hours=hours))


async def test_a_pin_a_block_and_their_ends(asking: AskingEdge) -> None:
    now = datetime.now(UTC)
    assert await asking.get("/acme") == "path 3"
    await override(asking, OWNER, action="pin", cell=2, until=until(1))
    assert await asking.get("/acme") == "path 2"
    assert evaluated(asking, "/acme", now) == (Outcome.ROUTED, "path", 2, 0)
    await override(asking, OWNER, action="block", until=until(1))
    assert await asking.get("/acme") == "path status 403"
    assert evaluated(asking, "/acme", now) == (Outcome.REJECTED, "path", None, 403)
    await override(asking, OWNER, action="block", until=until(-1))
    assert await asking.get("/acme") == "path 3", "over, though it is still written there"
    assert evaluated(asking, "/acme", now) == (Outcome.ROUTED, "path", 3, 0)


async def test_an_override_that_runs_out_is_not_remembered_beyond(asking: AskingEdge) -> None:
    await override(asking, OWNER, action="pin", cell=2, until=until(0.5 / 3600))
    assert await asking.get("/acme") == "path 2"
    asked = asking.owners.asked
    assert await asking.get("/acme") in ("path 2", "path 3")
    assert asking.owners.asked == asked + 1, "it holds for less than a second, so it is asked for again"


async def test_a_cell_that_is_passed_over(asking: AskingEdge) -> None:
    cookie = ("cookie", "_gitlab_session=cell-3-0123")
    assert await asking.get("/users", cookie) == "session 3"
    await override(asking, "cell/3", action="pass", until=until(1, NOW))
    assert await asking.get("/acme") == "default 1"
    assert await asking.get("/users", cookie) == "default 1"
    assert await asking.get("/users", ("x-cellplane-override", "cell-3")) == "override 3"
    assert evaluated(asking, "/acme", NOW)[:2] == (Outcome.ROUTED, "default")
    translation = asking.edge.translation
    assert translation is not None
    assert translation.next_change_seconds == 3600
    await asking.edge.publish(replace(asking.view, revision=99), now=NOW + timedelta(hours=2))
    await asking.edge.settled(99)
    assert await asking.get("/acme") == "path 3", "over by itself"
