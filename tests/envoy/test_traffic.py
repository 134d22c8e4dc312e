from __future__ import annotations

from envoy.traffic import ORDINARY, Manners, TrafficClass


def test_ordinary_traffic_may_last_but_not_fall_silent_for_longer_than_the_settings_say() -> None:
    assert Manners(timeout_seconds=0, idle_seconds=None, retries=True) == ORDINARY
    assert TrafficClass(name="a", conditions=()).manners is ORDINARY
