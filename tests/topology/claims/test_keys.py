"""Keys of claims: one spelling for each thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.claims.samples import LEASE_1, OWNER, route
from topology.claims.keys import ClaimKeyspace, LeaseKey, OwnerKey, PartKey, TransferKey, is_uuid
from topology.claims.model import Bucket, BucketType
from topology.keys import Keyspace, UnknownKey

KEYS = ClaimKeyspace.beside(Keyspace("/cellplane/v1"))


def test_claims_lie_beside_the_topology() -> None:
    assert KEYS.root == "/cellplane/v1-claims/"
    assert not KEYS.root.startswith(Keyspace("/cellplane/v1").root)


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("/cellplane/v1-claims/records/ROUTES/acme", route("acme")),
        ("/cellplane/v1-claims/records/ROUTES/a%2Fb%25", route("a/b%")),
        ("/cellplane/v1-claims/records/PROJECT_IDS/7", Bucket(BucketType.PROJECT_IDS, "7")),
        (f"/cellplane/v1-claims/leases/{LEASE_1}", LeaseKey(LEASE_1)),
        (f"/cellplane/v1-claims/parts/{LEASE_1}/0012", PartKey(LEASE_1, 12)),
        ("/cellplane/v1-claims/owners/NAMESPACE/42", OwnerKey(OWNER)),
        (f"/cellplane/v1-claims/transfers/{LEASE_1}", TransferKey(LEASE_1)),
    ],
)
def test_a_key_means_one_thing(key: str, meaning: object) -> None:
    assert KEYS.parse(key) == meaning


def test_keys_are_spelled_as_they_are_read() -> None:
    assert KEYS.record(route("a/b%")) == "/cellplane/v1-claims/records/ROUTES/a%2Fb%25"
    assert KEYS.lease(LEASE_1) == f"/cellplane/v1-claims/leases/{LEASE_1}"
    assert KEYS.owner(OWNER) == "/cellplane/v1-claims/owners/NAMESPACE/42"
    assert KEYS.transfer(LEASE_1) == f"/cellplane/v1-claims/transfers/{LEASE_1}"
    assert KEYS.record(route("a")).startswith(KEYS.records())
    assert KEYS.part(LEASE_1, 12) == f"/cellplane/v1-claims/parts/{LEASE_1}/0012"
    assert KEYS.part(LEASE_1, 12).startswith(KEYS.parts(LEASE_1))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("/cellplane/v1/cells/1", "not below /cellplane/v1-claims/"),
        ("/cellplane/v1-claims/records/INVITES/a", "'INVITES' is no bucket that this version knows"),
        ("/cellplane/v1-claims/records/ROUTES/a/b", "'a/b' is not how a value is written in a key"),
        ("/cellplane/v1-claims/records/ROUTES/", "'' is not how a value is written in a key"),
        ("/cellplane/v1-claims/records/ROUTES/%41", "'%41' is not how a value is written in a key"),
        ("/cellplane/v1-claims/leases/ABC", "nothing of this version lives at this key"),
        (f"/cellplane/v1-claims/parts/{LEASE_1}/1", "nothing of this version lives at this key"),
        ("/cellplane/v1-claims/owners/NAMESPACE/042", "nothing of this version lives at this key"),
        ("/cellplane/v1-claims/transfers/7", "nothing of this version lives at this key"),
        ("/cellplane/v1-claims/else", "nothing of this version lives at this key"),
    ],
)
def test_other_keys_have_no_meaning(key: str, reason: str) -> None:
    assert KEYS.parse(key) == UnknownKey(reason)


@given(st.sampled_from(BucketType), st.text(min_size=1))
def test_every_value_has_a_key_of_its_own(kind: BucketType, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    assert KEYS.parse(KEYS.record(Bucket(kind, value))) == Bucket(kind, value)


@pytest.mark.parametrize(
    "text", ["", "x", LEASE_1.upper().replace("0", "A"), LEASE_1 + "\n", LEASE_1.replace("-", "")]
)
def test_no_uuids(text: str) -> None:
    assert is_uuid(LEASE_1)
    assert not is_uuid(text)
