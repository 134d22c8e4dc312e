"""Logging: one line per event on standard error, set up once by the command that runs.

What is logged while a call is answered ends with the call's request id.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache

from cellplane.json_lines import JsonLines
from cellplane.settings import LogSettings
from topology.service.request_id import current_request_id

log = logging.getLogger("cellplane.log")


class Lines(logging.Formatter):
    """Spell each record as a line for people: when, how grave, where, what, for which request."""

    def format(self, record: logging.LogRecord) -> str:
        where = f"{_second(int(record.created))} {record.levelname:7} {record.name}"
        line = f"{where} {record.getMessage()}{getattr(record, 'request', '')}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logging(settings: LogSettings) -> None:
    """Send everything of this level and above to standard error.

    What no line names is not found out for each: https://docs.python.org/3/howto/logging.html#optimization.
    A call that changes something waits for its line.
    """
    lines = logging.StreamHandler()
    lines.setFormatter(Lines())
    logging.basicConfig(level=settings.level.upper(), handlers=[lines])
    logging._srcfile = None  # noqa: SLF001  as the page above has it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
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


@lru_cache(maxsize=1)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(moment))
