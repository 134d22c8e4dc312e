"""What this process has just written itself: the watch tells it again, and need not be read again.

`stored` notes what it writes and looks here before it decodes. The value has to be the same, byte for byte,
under the same key; so nothing is believed that the store did not say. `etcd Event -> View -> Snapshot ->
Response`, its first arrow, for claims.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from topology.claims.model import Lease, Record

REMEMBERED: Final = 4096  # of a writer whose watch is away for long


class OwnWrites:
    """The latest values that were written, each with what it says."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._written: OrderedDict[bytes, tuple[str, Record | Lease]] = OrderedDict()

    def note(self, puts: Iterable[tuple[str, bytes]], said: Iterable[Record | Lease]) -> None:
        """Take note of what is about to be written: each key with its value, and what that says."""
        for (key, value), each in zip(puts, said, strict=False):
            self._written[value] = key, each
        while len(self._written) > self._most:
            self._written.popitem(last=False)

    def take(self, key: str, value: bytes) -> Record | Lease | None:
        """Give what a value says that lies at a key, once; None where this process did not write it."""
        written = self._written.pop(value, None)
        return written[1] if written is not None and written[0] == key else None
