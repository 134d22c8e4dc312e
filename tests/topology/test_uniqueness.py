from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.samples import STAMP, cell
from topology.model import Cell, Problem, Retired, SequenceRange
from topology.uniqueness import Register, same_holding


def holding(cell_id: int, prefix: str = "", *ends: tuple[int, int]) -> Cell:
    ranges = tuple(SequenceRange(minval=minval, maxval=maxval) for minval, maxval in ends)
    return cell(cell_id, session_prefix=prefix or f"cell-{cell_id}", sequence_ranges=ranges)


def tombstone(cell_id: int, prefix: str = "", *ends: tuple[int, int]) -> Retired:
    held = holding(cell_id, prefix, *ends)
    return Retired(
        id=cell_id,
        name=held.name,
        session_prefix=held.session_prefix,
        sequence_ranges=held.sequence_ranges,
        stamp=STAMP,
    )


def fields(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.field for problem in problems]


def test_strangers_do_not_clash() -> None:
    register = Register([holding(1, "cell-1", (1, 99)), tombstone(2, "cell-2", (100, 199))])
    assert register.clashes(holding(3, "cell-3", (200, 299))) == ()
    assert register.get(1) is not None
    assert register.get(3) is None


@pytest.mark.parametrize("other", ["a", "a-b", "a-b-c", "a-b-c-d"])
def test_prefixes_that_one_cookie_could_carry_clash(other: str) -> None:
    register = Register([holding(1, "a-b")])
    (problem,) = register.clashes(holding(2, other))
    assert problem.field == "session_prefix"
    assert "'a-b' of cell 1" in problem.message


@pytest.mark.parametrize("other", ["a-bc", "a-c", "ab", "b", "cell-10"])
def test_prefixes_that_differ_before_the_hyphen_do_not(other: str) -> None:
    assert Register([holding(1, "a-b"), holding(7, "cell-1")]).clashes(holding(2, other)) == ()


@pytest.mark.parametrize(
    ("ends", "clash"),
    [
        ((1, 9), False),
        ((1, 10), True),
        ((15, 16), True),
        ((20, 25), True),
        ((21, 29), False),
        ((21, 30), True),
        ((1, 100), True),
        ((41, 50), False),
    ],
)
def test_overlapping_sequences_clash(ends: tuple[int, int], clash: bool) -> None:
    register = Register([holding(1, "", (10, 20)), tombstone(2, "", (30, 40))])
    problems = register.clashes(holding(3, "", ends))
    assert bool(problems) is clash
    assert all(problem.field == "sequence_ranges[0]" for problem in problems)
    assert all("start above 40" in problem.message for problem in problems)


def test_a_range_over_several_others_names_each() -> None:
    register = Register([holding(1, "", (10, 20)), tombstone(2, "", (30, 40))])
    messages = [problem.message for problem in register.clashes(holding(3, "", (500, 600), (15, 35)))]
    assert len(messages) == 2
    assert "overlaps 10 to 20 of cell 1:" in messages[0]
    assert "overlaps 30 to 40 of removed cell 2:" in messages[1]


def test_a_cell_may_replace_itself_and_nobody_else() -> None:
    register = Register([holding(1, "a", (1, 9))])
    assert register.clashes(holding(1, "a", (1, 9), (20, 29))) == ()
    assert fields(register.clashes(tombstone(1, "a", (1, 9)))) == ["id"]
    assert fields(Register([tombstone(1)]).clashes(holding(1))) == ["id"]


def test_what_is_discarded_is_free_again() -> None:
    register = Register([holding(1, "a-b", (1, 9)), holding(2, "c", (10, 19))])
    register.discard(1)
    register.discard(1)
    assert register.clashes(holding(3, "a", (1, 9))) == ()
    register.add(holding(2, "d", (30, 39)))
    assert register.clashes(holding(3, "c", (10, 19))) == ()
    assert fields(register.clashes(holding(3, "d", (39, 45)))) == ["session_prefix", "sequence_ranges[0]"]


def test_what_counts_as_the_same_holding() -> None:
    one = holding(1, "a", (1, 9))
    assert same_holding(one, cell(1, session_prefix="a", sequence_ranges=one.sequence_ranges, weight=5))
    assert same_holding(one, tombstone(1, "a", (1, 9)))
    assert not same_holding(one, holding(1, "b", (1, 9)))
    assert not same_holding(one, holding(1, "a"))
    assert not same_holding(one, holding(2, "a", (1, 9)))


SPANS = st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(st.tuples(st.sampled_from(["a", "a-b", "b", "c-a", "a-b-c", "d"]), SPANS), max_size=8))
def test_it_agrees_with_comparing_every_pair(wishes: list[tuple[str, tuple[int, int]]]) -> None:
    register, held = Register(), list[Cell]()
    for number, (prefix, span) in enumerate(wishes, start=1):
        wish = holding(number, prefix, span)
        clashing = any(
            f"{prefix}-".startswith(f"{other.session_prefix}-")
            or f"{other.session_prefix}-".startswith(f"{prefix}-")
            or any(span[0] <= each.maxval and each.minval <= span[1] for each in other.sequence_ranges)
            for other in held
        )
        assert bool(register.clashes(wish)) is clashing
        if not clashing:
            register.add(wish)
            held.append(wish)
