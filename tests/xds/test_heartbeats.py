"""When a client hears that what it has for a time lives on."""

from __future__ import annotations

from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.xds.configuration import snapshot
from tests.xds.test_ledger import ledger_of
from xds.copies import ABSENT
from xds.heartbeats import Heartbeats
from xds.resource import CLUSTER, LISTENER, Resource

TIMED = Resource.of(CLUSTER, "a", b"\n\x01a", ttl_seconds=30.0)
FOR_EVER = Resource.of(CLUSTER, "b", b"\n\x01b")


def test_rule_57_a_heartbeat_goes_at_a_third_of_the_time() -> None:
    ledger, beats = ledger_of(CLUSTER), Heartbeats()
    assert not beats
    beats.sent(CLUSTER, {"a": TIMED, "b": FOR_EVER, "gone": None}, 100.0)
    now = snapshot(1, TIMED, FOR_EVER)
    assert beats.due([ledger]) == 110.0
    assert beats.due([ledger_of(LISTENER)]) is None
    assert beats.take(ledger, now, 109.9) == []
    (beat,) = beats.take(ledger, now, 110.0)
    sent = discovery_pb2.DeltaDiscoveryResponse.FromString(beat.delta_field).resources[0]
    assert (sent.name, sent.version, sent.ttl.seconds) == ("a", TIMED.version, 30)
    assert beats.due([ledger]) == 120.0


def test_what_the_client_has_not_or_not_for_a_time_is_forgotten() -> None:
    for behind, has in (({"a": ABSENT}, TIMED), ({}, Resource.of(CLUSTER, "a", b"\n\x01a"))):
        ledger, beats = ledger_of(CLUSTER), Heartbeats()
        ledger.behind = dict(behind)
        beats.sent(CLUSTER, {"a": TIMED}, 100.0)
        assert beats.take(ledger, snapshot(1, has), 110.0) == []
        assert beats.due([ledger]) is None


def test_who_comes_back_hears_at_once() -> None:
    ledger, beats = ledger_of(CLUSTER), Heartbeats()
    beats.told(CLUSTER, ["a"])
    assert [one.name for one in beats.take(ledger, snapshot(1, TIMED), 5.0)] == ["a"]
    assert beats.due([ledger]) == 15.0
