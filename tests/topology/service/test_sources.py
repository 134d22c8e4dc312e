"""What the services answer from."""

from __future__ import annotations

import pytest

from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.store import Changes
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.service.failure import Failure
from topology.service.sources import Sources
from topology.view import EMPTY, View


def test_nothing_is_answered_before_it_has_been_read() -> None:
    view: View | None = None
    follower = ClaimFollower(StoredClaims(MemoryStore(), ClaimKeyspace.beside(Keyspace("/c"))))
    sources = Sources(lambda: view, follower)
    with pytest.raises(Failure, match="the topology: not read yet"):
        _ = sources.view
    view = EMPTY
    assert sources.view is EMPTY
    with pytest.raises(Failure, match="the claims: not read yet"):
        _ = sources.claims
    assert not sources.ready
    follower.index.load(Changes(1))
    follower.loaded = True
    assert sources.claims is follower.index
    assert sources.ready
