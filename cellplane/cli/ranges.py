"""Numbers that commands take, each within what a record or a message can hold.

A number that no message holds is refused as bad usage, before anybody is asked.
"""

from __future__ import annotations

from typing import Final

import click

from topology.model import MAX_ID, MAX_WEIGHT

CELL_ID: Final = click.IntRange(1, MAX_ID)
WEIGHT: Final = click.IntRange(0, MAX_WEIGHT)
COUNT: Final = click.IntRange(0, 2**63 - 1)
RING: Final = click.IntRange(0, MAX_ID)
REVISION: Final = click.IntRange(1, 2**63 - 1)
