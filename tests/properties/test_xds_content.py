"""Same content, same version; and a change, applied, is the next snapshot."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import hypothesis.strategies as st
from hypothesis import given

from tests.xds.configuration import endpoints
from xds.holds import Holds
from xds.nodes import Node
from xds.resource import CLUSTER, ENDPOINT, TYPES, Resource
from xds.snapshot import DIGEST_MASK, Snapshot, diff, digest_of
from xds.sotw import SotwStream
from xds.status import Fleet, StreamStatus
from xds.terms import Terms
from xds.wire import Composer, SotwRequest

NAMES = st.text("abc", min_size=1, max_size=2)
a_resource = st.builds(Resource.of, st.sampled_from(TYPES), NAMES, st.binary(max_size=3))
resource_sets = st.lists(a_resource, unique_by=lambda one: one.key)


@given(st.binary(), st.binary(), NAMES)
def test_same_content_same_version(one: bytes, other: bytes, name: str) -> None:
    versions = {Resource.of(CLUSTER, name, body).version for body in (one, other)}
    assert (len(versions) == 1) == (one == other)


@given(resource_sets, st.randoms(use_true_random=False))
def test_the_order_of_resources_makes_no_difference(resources: list[Resource], random: Random) -> None:
    shuffled = list(resources)
    random.shuffle(shuffled)
    one, other = Snapshot.of(1, resources), Snapshot.of(2, shuffled)
    assert diff(one, other) == {}
    assert all(one.digest(kind) == other.digest(kind) for kind in TYPES)


@given(resource_sets, resource_sets)
def test_a_change_applied_is_the_next_snapshot(before: list[Resource], after: list[Resource]) -> None:
    old, new = Snapshot.of(1, before), Snapshot.of(2, after)
    applied = {one.key: one for one in before}
    for kind, names in diff(old, new).items():
        for name in names.removed:
            del applied[kind, name]
        for name in names.upserted:
            applied[kind, name] = new.of_type(kind)[name]
    assert applied == {one.key: one for one in after}
    # Different sets of one type have different digests.
    for kind in TYPES:
        assert (kind in diff(old, new)) == (old.digest(kind) != new.digest(kind))


contents = st.dictionaries(NAMES, st.integers(1, 9))


@given(st.lists(contents, min_size=1, max_size=5), st.sets(NAMES))
def test_a_sotw_version_tells_of_the_content_and_not_of_the_way_there(
    history: list[dict[str, int]], names: set[str]
) -> None:
    """A digest that was kept up to date change by change equals one that was counted from nothing."""
    steps = [Snapshot.of(1, [endpoints(name, port) for name, port in each.items()]) for each in history]
    stream = SotwStream(steps[0], Terms(composer=Composer("")), Holds(), nobody())
    assert stream.receive(SotwRequest(ENDPOINT.type_url, None, sorted(names))) is None
    (ledger,) = stream.ledgers.values()
    for before, after in pairwise([steps[0], *steps]):
        stream._digest(ledger)
        stream.offer(after, diff(before, after))
    expected = [endpoints(name, port) for name, port in history[-1].items() if name in names]
    assert stream._digest(ledger) & DIGEST_MASK == digest_of(expected)


def nobody() -> StreamStatus:
    return Fleet(wall_clock=lambda: 0.0).opened(Node(id="n"), "group", "sotw ADS")
