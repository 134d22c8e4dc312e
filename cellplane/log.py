"""Logging: one line per event on standard error, set up once by the command that runs.

What is logged while a call is answered ends with the call's request id.
"""

from __future__ import annotations

import logging

from cellplane.json_lines import JsonLines
from cellplane.settings import LogSettings
from topology.service.request_id import current_request_id

log = logging.getLogger("cellplane.log")


def set_up_logging(settings: LogSettings) -> None:
    """Send everything of this level and above to standard error."""
    logging.basicConfig(
        level=settings.level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s %(message)s%(request)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(name_request)
        if settings.format == "json":
            handler.setFormatter(JsonLines())


def toggle_debug(settings: LogSettings) -> None:
    """Log everything from now on; where that was so already, what the settings say again."""
    root = logging.getLogger()
    usual = logging.getLevelName(settings.level.upper())
    root.setLevel(usual if root.level == logging.DEBUG else logging.DEBUG)
    log.warning("log_level_changed level=%s", logging.getLevelName(root.level))


def name_request(record: logging.LogRecord) -> bool:
    """Add the request id to a record; keep every record."""
    request_id = current_request_id()
    record.request = f" request={request_id}" if request_id else ""
    return True
