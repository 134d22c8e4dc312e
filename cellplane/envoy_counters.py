"""How many requests each cell gets, by Envoys' own counters: two readings make a rate.

Commands that change cells under traffic read it from admin addresses that an operator names. It changes
nothing. `Snapshot -> Response`, seen from the other end.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from cellplane.http_address import url_of, why

_SECONDS: Final = 5
_REQUESTS: Final = re.compile(r"cluster\.cell-([1-9][0-9]*)\.upstream_rq_total\Z")


class CountersUnread(Exception):
    """An Envoy does not tell; the words name it."""


def read_requests(admins: Iterable[str]) -> Counter[int]:
    """Sum the requests that Envoys sent to each cell since they started. Raises CountersUnread."""
    found: Counter[int] = Counter()
    for admin in admins:
        url = f"{url_of(admin)}/stats?format=json&filter=^cluster\\.cell-[0-9]%2B\\.upstream_rq_total$"
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS) as response:  # noqa: S310  the operator's URL
                stats = json.load(response)["stats"]
        except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError) as error:
            raise CountersUnread(f"{admin} does not tell its counters: {why(error)}") from error
        for stat in stats:
            if match := _REQUESTS.match(str(stat.get("name", ""))):
                found[int(match[1])] += int(stat["value"])
    return found


def rates(before: Mapping[int, int], after: Mapping[int, int], seconds: float) -> dict[int, float]:
    """Give requests a second by cell; one that was restarted meanwhile counts from nothing."""
    return {cell: max(0, count - before.get(cell, 0)) / seconds for cell, count in sorted(after.items())}


def told(cell_id: int, found: Mapping[int, float]) -> str:
    """Say what a cell gets of it all."""
    whole, own = sum(found.values()), found.get(cell_id, 0.0)
    share = f", {100 * own / whole:.0f} %" if whole else ""
    return f"Envoy: {own:.0f} of {whole:.0f} requests/s{share}"
