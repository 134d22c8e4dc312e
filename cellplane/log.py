"""Logging: one line per event on standard error, set up once by the command that runs."""

from __future__ import annotations

import logging


def set_up_logging(level: str) -> None:
    """Send everything of this level and above to standard error."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
