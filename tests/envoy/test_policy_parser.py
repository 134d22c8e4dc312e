from __future__ import annotations

from envoy.match_rules import Otherwise, Reject, Skip
from envoy.policy_parser import parse_answer, parse_otherwise
from envoy.problem_list import ProblemList


def test_a_policy_is_a_word_a_status_or_an_answer() -> None:
    problems = ProblemList()
    body = '{"errors": []}'
    given = {"unknown": "default", "ambiguous": {"status": 400, "body": body}, "malformed": 422}
    assert dict(parse_otherwise("otherwise", given, problems)) == {
        Skip.UNKNOWN: Otherwise.DEFAULT,
        Skip.AMBIGUOUS: Reject(400, body),
        Skip.MALFORMED: 422,
    }
    assert parse_answer("reject", {"status": 503}, problems) == Reject(503, "")
    assert parse_otherwise("otherwise", None, problems) == ()
    assert not problems.found


def test_what_is_wrong_is_said_with_its_fix() -> None:
    problems = ProblemList()
    given = {
        "refused": 400,
        "unknown": "later",
        "malformed": {"status": 200},
        "ambiguous": {"status": 400, "body": 1},
    }
    assert parse_otherwise("otherwise", given, problems) == ()
    assert parse_otherwise("otherwise", [], problems) == ()
    said = {each.field: each.message for each in problems.found}
    assert "is no outcome: use one of unknown, ambiguous" in said["otherwise.refused"]
    assert "use next, default, a status from 400 to 599, or both with a body" in said["otherwise.unknown"]
    assert said["otherwise.malformed"] == "must be an object with status, 400 to 599, and body"
    assert said["otherwise.ambiguous.body"] == "must be a text of at most 1000 characters"
    assert said["otherwise"].startswith("must be an object: for each of unknown")
