"""What is kept out, and the words that label it."""

from __future__ import annotations

from topology.quarantine import QuarantineKind


def test_kinds_are_few_enough_to_label_a_metric_with() -> None:
    assert [str(kind) for kind in QuarantineKind] == ["undecodable", "contradiction", "unknown_key"]
