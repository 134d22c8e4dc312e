"""Log records as JSON, one object a line: an event's name and its fields, for machines that read logs.

`log` chooses it on `--log-format json`. Our records are a name and `key=value` pairs in a template, so that
both forms come from one call. It writes nothing itself.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, Final

_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*")
_FIELD: Final = re.compile(r"(\w+)=(%[-.0-9]*[a-z])")
_VALUE: Final = re.compile(r"%[-.0-9]*[a-z]")
_OURS: Final = frozenset({"time", "level", "logger", "event", "message"})
_PLAIN: Final = (bool, int, float, str, type(None))


class JsonLines(logging.Formatter):
    """Spell each record as an object with `time`, `level`, `logger`, `event`, `message` and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        template = str(record.msg)
        event = _EVENT.match(template)
        body: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event[0] if event else "",
            "message": record.getMessage(),
            **_fields(template, record.args),
        }
        if request := str(getattr(record, "request", "")).strip():
            body["request"] = request.removeprefix("request=")
        if record.exc_info:
            body["exception"] = self.formatException(record.exc_info)
        return json.dumps(body, default=str)


def _fields(template: str, args: Any) -> dict[str, Any]:
    """Give the pairs of a template with their values; none where it holds values without a name."""
    values = args if isinstance(args, tuple) else ()
    names = _FIELD.findall(template)
    if len(names) != len(values) or len(_VALUE.findall(template)) != len(values):
        return {}
    found = {name: _plain(form, value) for (name, form), value in zip(names, values, strict=True)}
    return {f"field_{name}" if name in _OURS else name: value for name, value in found.items()}


def _plain(form: str, value: Any) -> Any:
    """Keep numbers as numbers unless they are written in another way, such as hexadecimal."""
    return value if isinstance(value, _PLAIN) and form in {"%d", "%s", "%f"} else form % (value,)
