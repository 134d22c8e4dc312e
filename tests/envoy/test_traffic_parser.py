from __future__ import annotations

from typing import Any

import pytest

from envoy.problem_list import ProblemList
from envoy.traffic import ORDINARY, Manners, TrafficClass
from envoy.traffic_parser import parse_traffic, usual_traffic

HEADER = {"type": "header", "name": "x-a"}
STREAM = Manners(timeout_seconds=0, idle_seconds=0, retries=False)


def read(value: Any) -> tuple[TrafficClass, ...]:
    problems = ProblemList()
    found = parse_traffic(value, problems)
    assert problems.found == []
    return found


def problem(value: Any) -> str:
    problems = ProblemList()
    parse_traffic(value, problems)
    (found,) = problems.found
    return str(found)


def test_a_ruleset_that_says_nothing_has_the_usual_classes() -> None:
    assert {each.name: each.manners for each in read(None)} == {
        "git-ssh": STREAM,
        "git-http": STREAM,
        "websocket": STREAM,
        "grpc": STREAM,
        "poll": Manners(timeout_seconds=120),
        "registry": ORDINARY,
    }
    assert usual_traffic() is usual_traffic()
    assert read([]) == ()


def test_a_class_has_conditions_and_manners() -> None:
    (found,) = read([{"name": "slow", "match": [HEADER], "timeout_seconds": 2.5, "idle_seconds": 9}])
    assert found.manners == Manners(timeout_seconds=2.5, idle_seconds=9, retries=True)
    assert [each.name for each in found.conditions] == ["x-a"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "other"}, "traffic[0].name: 'other' is no name"),
        ({"name": "A"}, "traffic[0].name: 'A' is no name"),
        ({"match": []}, "traffic[0].match: must be a list of 1 to 8 conditions"),
        ({"idle": 1}, "traffic[0].idle: is unknown: a class of traffic has name, match, timeout_seconds"),
        ({"idle_seconds": -1}, "traffic[0].idle_seconds: -1 is no time: write seconds, 0 to 604800"),
        ({"timeout_seconds": True}, "traffic[0].timeout_seconds: True is no time"),
        ({"retries": "no"}, "traffic[0].retries: must be true or false"),
        ({"match": [{"type": "query", "name": "q"}]}, "traffic[0].match[0].type: query can't be asked here"),
        ({"match": [{"type": "cookie", "name": "q"}]}, "traffic[0].match[0].type: cookie can't be asked"),
        ({"match": [{"type": "path", "template": "/:a/b"}]}, "takes the first segment for a name"),
        ({"match": [{**HEADER, "as": "x"}]}, "traffic[0].match[0].as: keeps a value that nobody reads"),
        ({"match": [{"type": "body"}]}, "traffic[0].match[0].type: 'body' is no part of a request"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(entry: dict[str, Any], said: str) -> None:
    assert said in problem([{"name": "a", "match": [HEADER], **entry}])


def test_names_and_numbers_are_bounded() -> None:
    one = {"name": "a", "match": [HEADER]}
    assert "another class's already" in problem([one, one])
    assert problem([{**one, "name": f"a{at}"} for at in range(17)]).startswith(
        "traffic: must be a list of 0 to 16"
    )
