"""Logging: one line per event on standard error, set up once by the command that runs.

What is logged while a call is answered ends with the call's request id.
"""

from __future__ import annotations

import logging

from topology.service.request_id import current_request_id


def set_up_logging(level: str) -> None:
    """Send everything of this level and above to standard error."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s %(message)s%(request)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(name_request)


def name_request(record: logging.LogRecord) -> bool:
    """Add the request id to a record; keep every record."""
    request_id = current_request_id()
    record.request = f" request={request_id}" if request_id else ""
    return True
