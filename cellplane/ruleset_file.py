"""A ruleset in a file: YAML or JSON, with the reserved words that a route list beside it gives.

`cellplane rules` reads files with it and gets the document to apply, or problems with the line of each. It
applies nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cellplane.yaml_text import parse_yaml
from envoy.route_list import Route, parse_routes, reserved_words
from envoy.rules import Ruleset, parse_ruleset
from topology.model import Problem

_LIST = "reserved_from"
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def read_ruleset(file: Path) -> dict[str, Any] | tuple[Problem, ...]:
    """Read a file: the document in full, or what is wrong with it and in which line."""
    try:
        text = file.read_text(encoding="utf-8")
        body, node = parse_yaml(text)
    except OSError as error:
        return (Problem(field=str(file), message=f"{error.strerror}"),)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return (Problem(field=str(file), message=f"is neither YAML nor JSON: {error}"),)
    if isinstance(body, dict) and _LIST in body:
        words = _listed(file, body.pop(_LIST))
        if isinstance(words, list):
            return tuple(_with_line(each, node) if each.field == _LIST else each for each in words)
        own = body.get("reserved")
        body["reserved"] = sorted({*words, *(own if isinstance(own, list) else ())}, key=str)
    outcome = parse_ruleset(body)
    if isinstance(outcome, Ruleset):
        return dict(body)
    return tuple(_with_line(problem, node) for problem in outcome)


def _listed(file: Path, name: Any) -> tuple[str, ...] | list[Problem]:
    if not isinstance(name, str):
        return [Problem(field=_LIST, message="must be the name of a route list beside this file")]
    listed = file.parent / name
    try:
        routes = parse_routes(listed.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        return [Problem(field=_LIST, message=f"{listed}: {why}")]
    problems = [each for each in routes if isinstance(each, Problem)]
    if problems:
        return [replace(each, field=f"{listed}, {each.field}") for each in problems]
    return reserved_words(each for each in routes if isinstance(each, Route))


def _with_line(problem: Problem, root: Any) -> Problem:
    line = _line(root, problem.field)
    return replace(problem, field=f"line {line}, {problem.field}" if problem.field else f"line {line}")


def _line(node: Any, field: str) -> int:
    """Find the line of a field, or of the nearest thing around it."""
    line = 1 if node is None else node.start_mark.line + 1
    for name, index in _STEP.findall(field):
        below = _below(node, name, int(index) if index else -1)
        if below is None:
            break
        node, line = below
    return int(line)


def _below(node: Any, name: str, index: int) -> tuple[Any, int] | None:
    if isinstance(node, yaml.MappingNode) and name:
        for key, value in node.value:
            if key.value == name:
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and 0 <= index < len(node.value):
        return node.value[index], node.value[index].start_mark.line + 1
    return None
