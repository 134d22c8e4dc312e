"""Owners: their names, and who can be one."""

from __future__ import annotations

import pytest

from tests.topology.claims.samples import LEASE_2, OWNER, owner
from topology.claims.model import Subject, SubjectType
from topology.claims.owners import OwnerElsewhere, OwnerMoving, is_owner, name_of, subject_of
from topology.keys import Keyspace


@pytest.mark.parametrize("kind", [kind for kind in SubjectType if kind])
@pytest.mark.parametrize("number", [1, 42, 2**63 - 1])
def test_a_name_is_read_back_and_is_a_key(kind: SubjectType, number: int) -> None:
    subject = Subject(kind, number)
    assert is_owner(subject)
    assert subject_of(name_of(subject)) == subject
    assert Keyspace().departure(name_of(subject)).endswith(f"/{kind.name}/{number}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ORGANIZATION",
        "ORGANIZATION/0",
        "ORGANIZATION/042",
        "ORGANIZATION/-1",
        "ORGANIZATION/42\n",
        "ORGANIZATION/9223372036854775808",
        "organization/42",
        "CUSTOMER/1",
        "UNSPECIFIED/1",
    ],
)
def test_other_names_are_none(name: str) -> None:
    assert subject_of(name) is None


@pytest.mark.parametrize(
    "subject",
    [Subject(SubjectType.UNSPECIFIED, 1), Subject(SubjectType.USER, 0), Subject(SubjectType.USER, -1)],
)
def test_not_every_subject_can_be_moved(subject: Subject) -> None:
    assert not is_owner(subject)


def test_they_say_what_they_are() -> None:
    assert owner().name == "NAMESPACE/42"
    assert str(OwnerElsewhere(OWNER, 2, 3)) == "NAMESPACE/42 is in cell 2 (epoch 3)"
    assert (
        str(OwnerMoving(OWNER, LEASE_2)) == f"NAMESPACE/42 is being transferred ({LEASE_2}): try again later"
    )
