"""How resources stand at a client, at each point of a conversation."""

from __future__ import annotations

import pytest

from tests.conversation import MemoryTalk, Variant, in_memory
from tests.xds.configuration import both, snapshot
from xds.client_status import Standing, statuses
from xds.resource import CLUSTER, ENDPOINT

each_variant = pytest.mark.parametrize("variant", ["delta", "sotw"])


def standings(talk: MemoryTalk) -> dict[str, Standing]:
    return {one.name: one.standing for one in statuses(talk.line.stream)}


@each_variant
async def test_sent_acknowledged_rejected_and_not_sent(variant: Variant) -> None:
    talk = in_memory(variant, snapshot(1, both("a", "bad")))
    assert standings(talk) == {}
    await talk.envoy.asks(CLUSTER)
    assert standings(talk) == {"a": Standing.NOT_SENT, "bad": Standing.NOT_SENT}
    await talk.expect.sends(CLUSTER, "a", "bad")
    assert standings(talk) == {"a": Standing.STALE, "bad": Standing.STALE}
    await talk.envoy.nacks(CLUSTER, "Error adding/updating cluster(s) bad: no")
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    assert standings(talk) == {"a": Standing.SYNCED, "bad": Standing.ERROR}
    (bad,) = (one for one in statuses(talk.line.stream) if one.name == "bad")
    assert bad.message == "Error adding/updating cluster(s) bad: no"
    talk.publishes(snapshot(2, both("a", "bad", "new")))
    assert standings(talk)["new"] is Standing.NOT_SENT


@each_variant
async def test_a_name_that_does_not_exist_and_one_that_goes(variant: Variant) -> None:
    talk = in_memory(variant, snapshot(1, both("a")), grace_seconds=0.0)
    await talk.envoy.asks(ENDPOINT, "z")
    assert standings(talk) == {"z": Standing.ABSENT}
    await talk.envoy.asks(CLUSTER)
    while said := await talk.hear():
        talk.last[said.type] = said
        await talk.envoy.acks(said.type)
    talk.publishes(snapshot(2))
    assert standings(talk)["a"] is Standing.NOT_SENT
    assert await talk.hear() is not None
    assert standings(talk)["a"] is Standing.STALE
