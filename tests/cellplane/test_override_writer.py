"""Overrides through their writer: what edges remember of the owner is void in the same transaction."""

from __future__ import annotations

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
from topology.store import MAX_TXN_OPERATIONS
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
    document, *generations = [key for key, _ in planned("acme", "web").txn.puts]
    assert document == keys.document("overrides", "NAMESPACE/42")
    assert generations == [keys.generation(slot) for slot in slots(buckets)]
    assert len(planned(name="USER/9").txn.puts) == 1


def test_an_owner_with_many_claims_fits_one_transaction() -> None:
    assert len(planned(*(f"name-{number}" for number in range(2000))).txn.puts) == MAX_TXN_OPERATIONS
