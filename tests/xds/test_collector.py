"""The collector is calmed: start-up's objects are permanent, the young are looked at seldom."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from xds.collector import calm_collector


@pytest.fixture
def collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_is_there_is_frozen_and_the_rest_collected_seldom(collector: None) -> None:
    before = gc.get_freeze_count()
    calm_collector()
    assert gc.get_freeze_count() > before
    assert gc.get_threshold()[0] > 700
    # It still collects.
    assert gc.isenabled()
