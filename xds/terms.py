"""What all streams of a server agree on, and whom a stream tells what happens on it.

The server makes the terms once; each stream gets them with its snapshot (`Snapshot -> Response`). They hold
no state of any one stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from xds.openings import Openings
from xds.order import ORDER, Step
from xds.resource import ResourceType
from xds.wire import Composer, Response

REMOVAL_GRACE_SECONDS: Final = 1.0
MAX_NAMES: Final = 200_000
MAX_NAME_CHARACTERS: Final = 4096


class Observer(Protocol):
    """Told what happens on one stream. Called in the middle of it, so it only takes notes."""

    def subscribed(self, kind: ResourceType, names: int, wildcard: bool) -> None: ...
    def sent(self, response: Response) -> None: ...
    def acknowledged(self, response: Response) -> None: ...
    def rejected(self, response: Response, blamed: Sequence[str], message: str) -> None: ...
    def unknown_type(self, type_url: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all streams of a server agree on."""

    composer: Composer
    order: Sequence[Step] = ORDER
    removal_grace_seconds: float = REMOVAL_GRACE_SECONDS
    max_names: int = MAX_NAMES
    max_name_characters: int = MAX_NAME_CHARACTERS
    client_is_envoy: bool = True
    """Names that do not exist are answered for by what frees a warming Envoy, not by what the protocol says
    alone (in Delta they differ)."""
    openings: Openings = field(default_factory=Openings)
