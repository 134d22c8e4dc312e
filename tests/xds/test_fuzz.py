"""Damaged requests: a value or a status comes of each, alone and over gRPC, and the server lives on."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.xds.configuration import both, snapshot
from tests.xds_fuzz import KNOWN, Edge, live, requests

ALL = snapshot(1, both(*KNOWN))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Rejections are logged, and here there are many."""
    logger = logging.getLogger("xds")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def test_the_same_seed_gives_the_same_requests() -> None:
    assert list(requests(3, 50)) == list(requests(3, 50))
    assert list(requests(3, 50)) != list(requests(4, 50))


def test_whatever_arrives_the_edge_answers_with_a_value() -> None:
    edge = Edge(ALL)
    for delta, data in requests(seed=7, count=3000):
        edge.take(delta, data)
    assert edge.outcomes["served"] > 1000
    assert edge.outcomes["responses"] > 100
    assert edge.outcomes["INVALID_ARGUMENT"] > 100
    assert set(edge.outcomes) <= {"served", "responses", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}


async def test_a_server_ends_each_damaged_stream_with_a_status_and_serves_the_others() -> None:
    statuses = await live(ALL, seed=8, count=60)
    assert statuses.total() == 60
    assert statuses["INVALID_ARGUMENT"] > 0
    # INTERNAL and UNKNOWN would be ours to answer for.
    assert set(statuses) <= {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}
