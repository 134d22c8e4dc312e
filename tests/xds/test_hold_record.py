"""Two replicas' records join to the same, whoever hears of whom first."""

from __future__ import annotations

import itertools

from xds.hold_record import MAX_VERSIONS, HoldRecord, RejectedVersion, Rejection, united
from xds.resource import CLUSTER

KEY = (CLUSTER, "a")


def record(*nodes: tuple[str, str], held: bool = False, alone: bool = False) -> HoldRecord:
    rejections = tuple(Rejection(node, envoy, "no") for node, envoy in nodes)
    return HoldRecord(key=KEY, versions={"v": RejectedVersion(rejections=rejections, held=held, alone=alone)})


def test_two_nodes_of_one_envoy_version_hold_it_wherever_they_are() -> None:
    for one, two in itertools.permutations([record(("n1", "u")), record(("n2", "u"))]):
        assert united(one, two) == record(("n1", "u"), ("n2", "u"), held=True)
    assert united(record(("n1", "u")), record(("n2", "t"))) == record(("n1", "u"), ("n2", "t"))


def test_who_was_alone_is_overruled_by_who_has_heard_it() -> None:
    alone = record(("n1", "u"), held=True, alone=True)
    assert united(alone, record(("n1", "u"))) == record(("n1", "u"))
    # Another replica that has not heard of it overrules nothing.
    assert united(alone, HoldRecord(key=KEY)) == alone
    assert united(HoldRecord(key=KEY), alone) == alone


def test_it_is_bounded_and_lists_what_is_held() -> None:
    many = {str(number): RejectedVersion(held=number % 2 == 0) for number in range(MAX_VERSIONS)}
    joined = united(HoldRecord(key=KEY, versions=many), record(("n1", "u")))
    assert len(joined.versions) == MAX_VERSIONS
    assert "v" in joined.versions
    assert joined.held == ("2", "4", "6", "8", "10", "12", "14")
