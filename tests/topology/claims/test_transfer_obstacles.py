"""What stands in the way of a transfer says so in words that name the owner and the fix."""

from __future__ import annotations

import pytest

from tests.topology.claims.samples import OWNER, route
from topology.claims.transfer_obstacles import FenceLifted, SidecarsBehind, TransferObstacle, Unfenced


@pytest.mark.parametrize(
    ("obstacle", "words"),
    [
        (Unfenced(OWNER, (route("new"),)), "goes on claiming (1 more by now): try again"),
        (FenceLifted(OWNER), "is let in again by the cell that it was to leave: try again"),
        (SidecarsBehind(OWNER, ("a", "b")), "not acknowledged by a, b: try again"),
        (SidecarsBehind(OWNER, tuple("abcdefghijkl")), "i, j and 2 more: try again"),
    ],
)
def test_words(obstacle: TransferObstacle, words: str) -> None:
    assert str(obstacle).startswith("NAMESPACE/42 ")
    assert words in str(obstacle)
