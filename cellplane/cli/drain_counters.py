"""What Envoys count of a cell while it, or a zone of it, is drained: read at their admin addresses.

`View -> Snapshot` seen from its far end. Whoever follows a drain asks after each line that it prints.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import click

from cellplane.cli.outcome import warn
from cellplane.envoy_counters import CountersUnread, rates, read_requests, told

LOOK_SECONDS: Final = 1.0
"""How long whoever follows a drain waits between two looks."""

admin_option = click.option(
    "--admin",
    "admins",
    multiple=True,
    envvar="CELLPLANE_ENVOY_ADMIN",
    metavar="URL",
    help="An Envoy's admin address, whose counters are shown while it goes on; repeat it.",
)


class Counted:
    """What Envoys had counted at the last look; nothing where none are named."""

    def __init__(self, cell_id: int, admins: tuple[str, ...]) -> None:
        self._cell_id = cell_id
        self._admins = admins
        self._before, self._read_at = self._read(), time.monotonic()

    def since(self) -> str:
        """Say how much came since the last look, to stand behind a line; empty where nobody had told."""
        before, read_at = self._before, self._read_at
        self._before, self._read_at = self._read(), time.monotonic()
        if not before:
            return ""
        return f"; {told(self._cell_id, rates(before, self._before, self._read_at - read_at))}"

    def _read(self) -> Mapping[int, int]:
        try:
            return read_requests(self._admins) if self._admins else {}
        except CountersUnread as error:
            warn(f"{error}.")
            return {}
