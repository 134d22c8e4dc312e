"""Classes of traffic, read from a ruleset's document; a document that names none gets the usual ones.

`ruleset_parser` asks for them, with what is wrong noted in its list. `Request -> ClassificationKey ->
Decision`: before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from envoy.condition_parser import parse_condition
from envoy.match_rules import ONCE, Condition
from envoy.problem_list import ProblemList
from envoy.traffic import Manners, TrafficClass

MAX_CLASSES: Final = 16
MAX_CONDITIONS: Final = 8
MAX_SECONDS: Final = 7 * 24 * 3600
OTHER: Final = "other"
"""What Envoy calls the requests that are in no class."""
_FIELDS: Final = ("name", "match", "timeout_seconds", "idle_seconds", "retries")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z")

_STREAM: Final[Mapping[str, Any]] = {"idle_seconds": 0, "retries": False}
USUAL_TRAFFIC: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "name": "git-ssh",
        "match": [
            {"type": "method", "values": ["POST"]},
            {"type": "path", "regex": "^/.+/ssh-(?:upload|receive)-pack$"},
        ],
        **_STREAM,
    },
    {
        "name": "git-http",
        "match": [
            {"type": "method", "values": ["POST"]},
            {"type": "path", "regex": "^/.+/git-(?:upload|receive)-pack$"},
        ],
        **_STREAM,
    },
    {
        "name": "websocket",
        "match": [{"type": "header", "name": "upgrade", "regex": "^[Ww]eb[Ss]ocket$"}],
        **_STREAM,
    },
    {
        "name": "grpc",
        "match": [{"type": "header", "name": "content-type", "prefix": "application/grpc"}],
        **_STREAM,
    },
    {
        "name": "poll",
        "match": [
            {"type": "method", "values": ["POST"]},
            {"type": "path", "prefix": "/api/v4/jobs/request"},
        ],
        "timeout_seconds": 120,
    },
    {"name": "registry", "match": [{"type": "path", "prefix": "/v2"}]},
)
"""What a product like GitLab serves besides pages. docs/protocols.md says why each is as it is."""


def parse_traffic(value: Any, problems: ProblemList) -> tuple[TrafficClass, ...]:
    """Read the classes; None gives the usual ones, an empty list none."""
    if value is None:
        return usual_traffic()
    found: list[TrafficClass] = []
    for path, entry in problems.objects("traffic", value, MAX_CLASSES, "classes", least=0):
        problems.unknown_keys(path, entry, _FIELDS, "a class of traffic")
        name = entry.get("name")
        if not isinstance(name, str) or not _NAME.match(name) or name == OTHER:
            message = f"{name!r} is no name: use 1 to 32 of a-z, 0-9 and -, such as poll, but not {OTHER}"
            problems.add(f"{path}.name", message)
            continue
        if any(name == each.name for each in found):
            problems.add(f"{path}.name", f"{name!r} is another class's already: give each its own name")
        conditions = _conditions(f"{path}.match", entry.get("match"), problems)
        found.append(TrafficClass(name=name, conditions=conditions, manners=_manners(path, entry, problems)))
    return tuple(found)


@lru_cache(maxsize=1)
def usual_traffic() -> tuple[TrafficClass, ...]:
    """Give the usual classes."""
    problems = ProblemList()
    found = parse_traffic(USUAL_TRAFFIC, problems)
    if problems.found:
        raise AssertionError(f"the usual classes do not hold: {problems.found}")
    return found


def _conditions(path: str, value: Any, problems: ProblemList) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for at, entry in problems.objects(path, value, MAX_CONDITIONS, "conditions"):
        condition = parse_condition(at, entry, problems)
        if condition is None:
            continue
        if condition.part in ONCE:
            problems.add(
                f"{at}.type", f"{condition.part} can't be asked here: use method, host, path or header"
            )
        elif condition.unreserved:
            problems.add(at, "takes the first segment for a name: write a prefix, a regex or a fixed segment")
        elif condition.kept_as:
            problems.add(f"{at}.as", "keeps a value that nobody reads: leave it out")
        else:
            found.append(condition)
    return tuple(found)


def _manners(path: str, entry: Mapping[str, Any], problems: ProblemList) -> Manners:
    retries = entry.get("retries", True)
    if not isinstance(retries, bool):
        problems.add(f"{path}.retries", "must be true or false")
    idle = entry.get("idle_seconds")
    return Manners(
        timeout_seconds=_seconds(f"{path}.timeout_seconds", entry.get("timeout_seconds", 0), problems),
        idle_seconds=None if idle is None else _seconds(f"{path}.idle_seconds", idle, problems),
        retries=bool(retries),
    )


def _seconds(path: str, value: Any, problems: ProblemList) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS:
        return float(value)
    problems.add(path, f"{value!r} is no time: write seconds, 0 to {MAX_SECONDS}, where 0 means no limit")
    return 0.0
