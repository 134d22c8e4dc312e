"""How it is told who has not acknowledged something."""

from __future__ import annotations

import pytest

from topology.moves.fleet import Reached


@pytest.mark.parametrize(
    ("reached", "missing"),
    [
        (Reached(0), ""),
        (Reached(3), ""),
        (Reached(3, ("a", "b")), "2 of 3 Envoys: a, b"),
        (Reached(9, tuple("abcdefg")), "7 of 9 Envoys: a, b, c, d, e and 2 more"),
        (Reached(3, (), "etcd cannot be read"), "etcd cannot be read"),
    ],
)
def test_who_is_missing(reached: Reached, missing: str) -> None:
    assert reached.missing == missing
