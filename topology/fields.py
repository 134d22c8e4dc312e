"""Reading JSON without trust: one object's fields, each taken by its type, and a path to whatever is wrong.

The codec reads records with it, `saved` its file. It knows no record. `etcd Event -> View -> Snapshot ->
Response`: between an Event's bytes and its record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from topology.model import CellState

Read = TypeVar("Read")


class MalformedError(Exception):
    """What is wrong, with its path. Whoever reads turns it into a value."""


def parse(value: bytes) -> Any:
    try:
        return json.loads(
            value.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise MalformedError("no JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise MalformedError(f"no JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise MalformedError("no JSON that can be trusted: a field is there twice")
    return read


def _no_constant(name: str) -> NoReturn:
    raise MalformedError(f"no JSON: {name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise MalformedError(f"no JSON that can be written again: {text} is too large")
    return number


class Fields:
    """An object's fields, each read once by its type; what nobody read is an unknown field."""

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            raise MalformedError(f"{path or 'record'}: is no JSON object")
        self._values: dict[str, Any] = value
        self._unread = dict.fromkeys(value)
        self._path = f"{path}." if path else ""

    def take(self, name: str, wanted: type[Read], words: str) -> Read:
        if name not in self._values:
            raise MalformedError(f"{self._path}{name}: is missing: every field must be there")
        value = self._values[name]
        self._unread.pop(name, None)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise MalformedError(f"{self._path}{name}: is no {words}")
        return value

    def integer(self, name: str) -> int:
        return self.take(name, int, "whole number")

    def text(self, name: str) -> str:
        return self.take(name, str, "string")

    def boolean(self, name: str) -> bool:
        return self.take(name, bool, "true or false")

    def mapping(self, name: str) -> dict[str, Any]:
        return self.take(name, dict, "JSON object")

    def state(self, name: str) -> CellState:
        text = self.text(name)
        if text not in CellState.__members__:
            raise MalformedError(
                f"{self._path}{name}: {text!r} is no state: use one of {', '.join(CellState)}"
            )
        return CellState(text)

    def each(self, name: str) -> Iterator[Fields]:
        for at, value in enumerate(self.take(name, list, "list")):
            yield Fields(value, f"{self._path}{name}[{at}]")

    def optional(self, name: str, read: Callable[[Fields], Read]) -> Read | None:
        if self._values.get(name, ...) is None:
            self._unread.pop(name, None)
            return None
        return read(Fields(self.mapping(name), f"{self._path}{name}"))

    def is_null(self, name: str) -> bool:
        null = self._values.get(name, ...) is None
        if null:
            self._unread.pop(name, None)
        return null

    def end(self) -> None:
        if self._unread:
            raise MalformedError(f"{self._path}{next(iter(self._unread))}: is no field that the schema knows")
