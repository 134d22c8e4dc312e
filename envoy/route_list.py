"""The routes of an application, from a list: which first segments of paths are pages of its own.

A ruleset that takes the first segment of a path for a name needs them, or `/users/…` would be looked up as a
namespace. One route a line: verbs (`GET|POST` or `*`), template, an example; `#` begins a comment. Segments
like `:id` and `*path` vary, `(.:format)` may end a template. `Request -> ClassificationKey -> Decision`:
before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from topology.model import Problem

FORMAT: Final = "(.:format)"
_VERBS: Final = re.compile(r"\*|[A-Z]+(\|[A-Z]+)*\Z")
_TEMPLATE: Final = re.compile(r"/(?:[^/\s()]+(?:/[^/\s()]+)*)?\Z")


@dataclass(frozen=True, slots=True)
class Route:
    """One line. `example` is a path that it answers."""

    line: int
    verbs: tuple[str, ...]
    template: str
    example: str

    @property
    def first(self) -> str:
        """Give the template's first segment."""
        return self.template[1:].partition("/")[0]

    @property
    def varies(self) -> bool:
        """Tell whether the first segment is a name and not a page."""
        return self.first.startswith((":", "*"))


def parse_routes(text: str) -> tuple[Route, ...] | tuple[Problem, ...]:
    """Read a list; what is wrong comes back as problems, each with its line."""
    routes: list[Route] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        message = _problem(words)
        if message:
            problems.append(Problem(field=f"line {number}", message=message))
            continue
        template = words[1].removesuffix(FORMAT)
        routes.append(Route(number, tuple(words[0].split("|")), template, words[2]))
    if not routes and not problems:
        problems.append(Problem(field="line 1", message="there is no route: write verbs, template, example"))
    return tuple(problems) or tuple(routes)


def reserved_words(routes: Iterable[Route]) -> tuple[str, ...]:
    """List the first segments that are pages, sorted."""
    return tuple(sorted({route.first for route in routes if route.first and not route.varies}))


def _problem(words: list[str]) -> str | None:
    if len(words) != 3:
        return f"has {len(words)} words: write verbs, template and example, such as GET /users/:id /users/3"
    verbs, template, example = words
    if not _VERBS.match(verbs):
        return f"{verbs!r} are no verbs: write GET, GET|POST or *"
    if not _TEMPLATE.match(template.removesuffix(FORMAT)):
        return f"{template!r} is no template: write it like /users/:id or /users/:id{FORMAT}"
    return None if example.startswith("/") else f"{example!r} is no path: begin with /"
