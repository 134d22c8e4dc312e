"""The lists of names that requests carry, each read once and shared: a fleet asks for the same ones.

Requests are read with its help (`Snapshot -> Response`, on the way in). A list is known by its bytes, so one
that was met before, on this stream or another, is not read again; it is never guessed. Bounded: what was met
longest ago is forgotten.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

SMALLEST_BYTES: Final = 512
MOST_BYTES: Final = 16 * 1024 * 1024
NAMES_TAG: Final = 0x1A
"""Field 3, length-delimited: the names, in requests of both variants."""


@dataclass(slots=True)
class NameTable:
    """Lists of names by their encoded bytes."""

    _known: OrderedDict[bytes, tuple[str, ...]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def get(self, block: bytes) -> tuple[str, ...] | None:
        """Return the names that were put in for these bytes: always the same object."""
        names = self._known.get(block)
        if names is not None:
            self._known.move_to_end(block)
        return names

    def put(self, block: bytes, names: tuple[str, ...]) -> None:
        """Remember a list. `block` has to be whole fields, and nothing but these names."""
        weight = _weight(block, names)
        if block in self._known or weight > MOST_BYTES // 2:
            return
        self._known[block] = names
        self._bytes += weight
        while self._bytes > MOST_BYTES:
            self._bytes -= _weight(*self._known.popitem(last=False))


def _weight(block: bytes, names: tuple[str, ...]) -> int:
    """Estimate the bytes that a kept list takes: its own, and each name as a text of Python's."""
    return 2 * len(block) + 64 * len(names)


def start_of_names(data: bytes) -> int | None:
    """Find where the names begin, behind fields 1 and 2. None if anything else comes first."""
    at, size = 0, len(data)
    while at < size:
        tag = data[at]
        if tag == NAMES_TAG:
            return at
        if tag not in {0x0A, 0x12}:
            return None
        at += 1
        length = shift = 0
        while at < size and shift < 35:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += length
    return None
