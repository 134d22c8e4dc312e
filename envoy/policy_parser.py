"""What a rule says of requests that it leads to no cell: policies and answers, read from a document.

`match_parser` asks for them. `Request -> ClassificationKey -> Decision`: before the first request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from envoy.match_rules import POLICY_SKIPS, Otherwise, Policy, Reject, Skip
from envoy.problem_list import ProblemList

_MAX_BODY: Final = 1000


def parse_otherwise(path: str, value: Any, problems: ProblemList) -> tuple[tuple[Skip, Policy], ...]:
    """Read what follows each outcome that is no cell."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        problems.add(path, f"must be an object: for each of {', '.join(POLICY_SKIPS)} what follows")
        return ()
    found: dict[Skip, Policy] = {}
    for outcome, policy in value.items():
        if outcome not in POLICY_SKIPS:
            problems.add(f"{path}.{outcome}", f"is no outcome: use one of {', '.join(POLICY_SKIPS)}")
        elif _is_status(policy):
            found[Skip(outcome)] = policy
        elif isinstance(policy, Mapping):
            answer = parse_answer(f"{path}.{outcome}", policy, problems)
            found |= {Skip(outcome): answer} if answer else {}
        elif isinstance(policy, str) and policy in set(Otherwise):
            found[Skip(outcome)] = Otherwise(policy)
        else:
            message = (
                f"{policy!r} is no policy: use next, default, a status from 400 to 599, or both with a body"
            )
            problems.add(f"{path}.{outcome}", message)
    return tuple(sorted(found.items()))


def parse_answer(path: str, value: Any, problems: ProblemList) -> Reject | None:
    """Read an answer of the edge's own: its status, and its body."""
    if isinstance(value, Mapping) and set(value) <= {"status", "body"} and _is_status(value.get("status")):
        body = value.get("body", "")
        if isinstance(body, str) and len(body) <= _MAX_BODY:
            return Reject(value["status"], body)
        problems.add(f"{path}.body", f"must be a text of at most {_MAX_BODY} characters")
    else:
        problems.add(path, "must be an object with status, 400 to 599, and body")
    return None


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
