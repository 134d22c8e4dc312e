"""What all streams of a server share."""

from __future__ import annotations

from xds.order import ORDER
from xds.terms import MAX_NAMES, REMOVAL_GRACE_SECONDS, Terms
from xds.wire import Composer


def test_terms_are_complete_but_for_who_speaks() -> None:
    composer = Composer("replica")
    terms, other = Terms(composer=composer), Terms(composer=composer)
    assert (terms.order, terms.removal_grace_seconds, terms.max_names) == (
        ORDER,
        REMOVAL_GRACE_SECONDS,
        MAX_NAMES,
    )
    assert terms.openings is not other.openings
