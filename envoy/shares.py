"""Unowned traffic divided by weight, at a cost that does not grow with the cells.

Envoy looks through the weights of a route one after the other: with 1,000 of them that takes more than the
rest of a request. So many cells stand in a tree instead. At each fork a hash of the request's id says left
or right, by the weights of both sides, and a handful of weights stands at each end. `View -> Snapshot`: the
default rule's part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from envoy.matchers import OnMatch, fork, header

HANDFUL: Final = 16
"""So many weights are quicker looked through than hashed once more."""
# Envoy makes it new for each request from outside, before the first look at the routes.
_REQUEST_ID: Final = header("x-request-id")

Shares = Sequence[tuple[int, int]]
"""Cells with their weights, none of them zero."""


def tree(shares: Shares, end: Callable[[Shares], OnMatch], handful: int = HANDFUL, depth: int = 0) -> OnMatch:
    """Divide among the shares: a handful at each end, forks above them.

    Each level hashes with a seed of its own, or the lower ones would repeat what the upper ones decided.
    """
    if len(shares) <= handful:
        return end(shares)
    middle = len(shares) // 2
    left, right = shares[:middle], shares[middle:]
    here = sum(weight for _, weight in left)
    whole = here + sum(weight for _, weight in right)
    return OnMatch(
        matcher=fork(
            _REQUEST_ID,
            threshold=here,
            modulo=whole,
            seed=depth,
            above=tree(right, end, handful, depth + 1),
            below=tree(left, end, handful, depth + 1),
        )
    )
