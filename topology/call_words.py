"""What gRPC says of a call that did not arrive, without the words of its layers.

The etcd adapter and the command show it to people. Text in, text out; third road, where it breaks off.
"""

from __future__ import annotations

import re
from typing import Final

_CONNECT: Final = re.compile(
    r"failed to connect to all addresses; last error: (?:[A-Z_]+: )?(?:(?:ipv[46]|unix):\S+: )?"
    r"(?:Failed to connect to remote host: )?"
)
_RESOLVE: Final = re.compile(
    r"errors resolving \S+: \[field:\S+ lookup error:(?:address lookup failed for \S+: )?(.*)\]\Z"
)


def plain(words: str) -> str:
    """Give the reason alone: `Connection refused`, `Domain name not found`."""
    return _RESOLVE.sub(r"\1", _CONNECT.sub("", words))
