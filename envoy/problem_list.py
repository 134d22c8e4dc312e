"""What is wrong with a document, gathered while it is read: each with its field and the way to mend it.

The parsers of rules fill one. `Request -> ClassificationKey -> Decision`: before the first request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from topology.model import Problem


class ProblemList:
    """Problems in the order in which they are found."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, path: str, message: str) -> None:
        """Note a problem."""
        self.found.append(Problem(field=path, message=message))

    def unknown_keys(self, path: str, entry: Mapping[str, Any], known: Collection[str], what: str) -> None:
        """Note every key that nobody would read."""
        for key in entry:
            if key not in known:
                self.add(f"{path}.{key}", f"is unknown: {what} has {', '.join(known)}")

    def text(self, path: str, value: Any, what: str) -> str | None:
        """Take a text that is not empty."""
        if isinstance(value, str) and value:
            return value
        self.add(path, f"{value!r} is no {what}: write a text")
        return None

    def items(self, path: str, value: Any, most: int, what: str, *, least: int = 1) -> list[Any]:
        """Take a list; what is none gives nothing."""
        if isinstance(value, list | tuple) and least <= len(value) <= most:
            return list(value)
        self.add(path, f"must be a list of {least} to {most} {what}")
        return []

    def objects(
        self, path: str, value: Any, most: int, what: str, *, least: int = 1
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Take a list of objects, each with its path."""
        found = []
        for at, entry in enumerate(self.items(path, value, most, what, least=least)):
            if isinstance(entry, Mapping) and all(isinstance(key, str) for key in entry):
                found.append((f"{path}[{at}]", entry))
            else:
                self.add(f"{path}[{at}]", f"must be an object: one of the {what}")
        return found
