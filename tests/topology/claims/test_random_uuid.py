"""UUIDs that are random, and say so."""

from __future__ import annotations

import uuid

from topology.claims.keys import is_uuid
from topology.claims.random_uuid import random_uuid


def test_they_are_uuids_of_version_4_in_their_usual_spelling() -> None:
    for text in (random_uuid() for _ in range(200)):
        assert is_uuid(text)
        read = uuid.UUID(text)
        assert (read.version, read.variant, str(read)) == (4, uuid.RFC_4122, text)


def test_every_digit_but_two_is_random() -> None:
    seen = [set(digits) for digits in zip(*(random_uuid() for _ in range(600)), strict=True)]
    assert [len(digits) for at, digits in enumerate(seen) if at not in (8, 13, 14, 18, 19, 23)] == [16] * 30
    assert (seen[14], seen[19]) == ({"4"}, set("89ab"))
