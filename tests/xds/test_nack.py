"""Envoy's own words, as seen, and whom they blame."""

from __future__ import annotations

import pytest

from xds.nack import blames_environment, culprits

MESSAGES = [
    ("Error adding/updating cluster(s) bad1: no such thing", ["bad1", "good"], ("bad1",)),
    ("Error adding/updating cluster(s) bad1: why, bad2: why too", ["bad1", "bad2", "why"], ("bad1", "bad2")),
    (
        "Error adding/updating listener(s) l1: x\nl2: cannot bind '0.0.0.0:80'",
        ["l1", "l2", "l3"],
        ("l1", "l2"),
    ),
    # A name in somebody else's explanation is not to blame.
    ("Error adding/updating listener(s) l1: filter 'l2' is not there", ["l1", "l2"], ("l1",)),
    # Nor is one that only begins alike.
    ("Error adding/updating cluster(s) cell-10: no", ["cell-1", "cell-10"], ("cell-10",)),
    ("Duplicate entry of domain x.com in route r1", ["r1", "r10", "r"], ("r1",)),
    (
        "Only a single wildcard domain is permitted in route edge.main",
        ["edge", "edge.main", "main"],
        ("edge.main",),
    ),
    ("Unexpected EDS cluster (expecting c1): cY", ["c1", "cY"], ("cY",)),
    ("malformed thing in secret: no name here", ["a", "b"], ()),
    ("", ["a"], ()),
    ("the cluster a.", ["a"], ("a",)),
    ("r1 is bad", [], ()),
]


@pytest.mark.parametrize(("message", "names", "blamed"), MESSAGES)
def test_rule_22_whom_a_message_blames(message: str, names: list[str], blamed: tuple[str, ...]) -> None:
    assert culprits(message, names) == blamed


ENVIRONMENTS = [
    ("Error adding/updating listener(s) l: cannot bind '127.0.0.1:80': Address already in use", True),
    ("l: cannot bind '10.0.0.1:80': Cannot assign requested address", True),
    ("socket(2) failed: Too many open files", True),
    ("Error adding/updating listener(s) l: no such filter", False),
    ("", False),
]


@pytest.mark.parametrize(("message", "environment"), ENVIRONMENTS)
def test_what_the_machine_lacks_is_not_the_contents_fault(message: str, environment: bool) -> None:
    assert blames_environment(message) is environment
