from __future__ import annotations

import pytest

from topology import errors


@pytest.mark.parametrize(
    ("error", "parents", "words"),
    [
        (errors.OutcomeUnknown("x"), (errors.StoreUnavailable, errors.StoreError, errors.TopologyError), "x"),
        (errors.StoreRefused("no"), (errors.StoreError,), "no"),
        (errors.Compacted(7), (errors.ListAgain, errors.StoreError), "up to revision 7 has been compacted"),
        (errors.Compacted(), (errors.ListAgain,), "history has been compacted"),
        (errors.Rewound(9, 3), (errors.ListAgain,), "at revision 3, and revision 9 was seen before"),
        (errors.Rewound(9), (errors.ListAgain,), "not the same any more, and revision 9"),
        (errors.Torn(5), (errors.ListAgain,), "revision 5 came in two pieces"),
    ],
)
def test_the_tree(error: Exception, parents: tuple[type[Exception], ...], words: str) -> None:
    assert isinstance(error, parents[0])
    assert all(isinstance(error, parent) for parent in parents)
    assert words in str(error)


def test_what_to_list_again_for_is_not_what_to_wait_for() -> None:
    assert not issubclass(errors.ListAgain, errors.StoreUnavailable)
    assert not issubclass(errors.StoreRefused, errors.StoreUnavailable)


def test_errors_carry_their_numbers() -> None:
    assert errors.Compacted(7).compact_revision == 7
    assert (errors.Rewound(9, 3).after, errors.Rewound(9, 3).revision) == (9, 3)
    assert errors.Torn(5).revision == 5
