from __future__ import annotations

from envoy.problem_list import ProblemList
from topology.model import Problem


def test_problems_are_kept_in_order_and_what_is_right_is_given() -> None:
    problems = ProblemList()
    assert problems.text("a", "x", "name") == "x"
    assert problems.text("a", "", "name") is None
    assert problems.items("b", [1, 2], 2, "things") == [1, 2]
    assert problems.items("b", [1, 2, 3], 2, "things") == []
    assert problems.objects("c", [{"x": 1}, 3], 2, "things") == [("c[0]", {"x": 1})]
    problems.unknown_keys("d", {"x": 1, "y": 2}, ("x",), "a thing")
    assert problems.found == [
        Problem(field="a", message="'' is no name: write a text"),
        Problem(field="b", message="must be a list of 1 to 2 things"),
        Problem(field="c[1]", message="must be an object: one of the things"),
        Problem(field="d.y", message="is unknown: a thing has x"),
    ]
