"""Overrides through their writer: what edges remember of the owner is void in the same transaction."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from cellplane.override_writer import OverrideWriter
from tests.topology.claims.samples import record
from topology import forms
from topology.claims.follower import ClaimFollower
from topology.claims.generations import slots
from topology.claims.keys import ClaimKeyspace
from topology.claims.store import Changes
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Stamp
from topology.plan import Plan
from topology.store import MAX_TXN_OPERATIONS, Committed
from topology.view import View

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAMP = Stamp(updated_by="ada", updated_at=forms.format_utc(NOW), reason="an incident")
BLOCK = {"action": "block", "until": forms.format_utc(NOW + timedelta(hours=1))}


def planned(*values: str, name: str = "NAMESPACE/42") -> Plan:
    follower = ClaimFollower(StoredClaims(MemoryStore(), ClaimKeyspace.beside(Keyspace())))
    claims = tuple(record(value) for value in values)
    follower.index.load(Changes(1, claims))
    follower.loaded = True
    outcome = OverrideWriter(follower)(View(), name, BLOCK, STAMP)
    assert isinstance(outcome, Plan)
    return outcome


def test_the_owners_slots_are_rewritten_with_it() -> None:
    keys = Keyspace()
    buckets = [record(value).bucket for value in ("acme", "web")]
    document, mark, *generations = [key for key, _ in planned("acme", "web").txn.puts]
    assert document == keys.document("overrides", "NAMESPACE/42")
    assert mark == ClaimKeyspace.beside(keys).mark()
    assert generations == [keys.generation(slot) for slot in slots(buckets)]
    assert len(planned(name="USER/9").txn.puts) == 1


async def test_who_follows_the_claims_knows_at_once_that_nothing_else_changed() -> None:
    """Or each answer would be of claims that may be old, and hold for a second only, until one changes."""
    store = MemoryStore()
    claims = StoredClaims(store, ClaimKeyspace.beside(Keyspace()))
    follower = ClaimFollower(claims)
    following = asyncio.create_task(follower.run())
    async with asyncio.timeout(10):
        await follower.reached(0)
        committed = await store.commit(planned("acme").txn)
        assert isinstance(committed, Committed)
        await follower.reached(committed.revision)
    assert follower.index.odd == {}
    following.cancel()


def test_an_owner_with_many_claims_fits_one_transaction() -> None:
    assert len(planned(*(f"name-{number}" for number in range(2000))).txn.puts) == MAX_TXN_OPERATIONS
