"""The rejections of a node are remembered by version, within bounds."""

from __future__ import annotations

from tests.xds.configuration import cluster
from xds.rejections import MAX_NAMES, MAX_VERSIONS, Rejections
from xds.resource import CLUSTER

KEY = (CLUSTER, "a")


def test_a_version_is_remembered_with_its_words_and_what_was_good() -> None:
    own = Rejections()
    assert not own
    own.add(cluster("a", 2), "no", cluster("a", 1))
    own.add(cluster("a", 3), "nor this", None)
    assert own
    assert [own.message(cluster("a", content)) for content in (1, 2, 3)] == [None, "no", "nor this"]
    assert own.good(KEY) == cluster("a", 1)
    assert list(own.names()) == [KEY]
    assert [words for _, _, words in own.versions()] == ["no", "nor this"]


def test_one_version_or_all_can_be_forgotten() -> None:
    own = Rejections()
    for content in (2, 3):
        own.add(cluster("a", content), "no", None)
    own.drop((KEY, cluster("a", 2).version))
    assert (own.message(cluster("a", 2)), own.message(cluster("a", 3))) == (None, "no")
    own.drop((KEY, cluster("a", 3).version))
    assert not own
    own.drop((KEY, "unknown"))
    own.add(cluster("a"), "no", None)
    own.release(KEY)
    assert not own
    assert own.good(KEY) is None


def test_memory_is_bounded() -> None:
    own = Rejections()
    for seconds in range(MAX_VERSIONS + 2):
        own.add(cluster("a", seconds), "no", None)
    assert own.message(cluster("a", 0)) is None
    assert own.message(cluster("a", MAX_VERSIONS + 1)) == "no"
    for number in range(MAX_NAMES):
        own.add(cluster(f"c{number}"), "no", None)
    assert len(list(own.names())) == MAX_NAMES
    assert own.message(cluster("a", MAX_VERSIONS + 1)) is None
