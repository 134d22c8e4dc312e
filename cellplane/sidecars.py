"""All that a control plane does for sidecars, as one part: what they are told, and what is kept on record of
them.

The composition root makes it, shows it each View and runs it. Without settings there are none, and it does
nothing. `View -> Snapshot`, and back.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from cellplane.latest import Latest
from cellplane.sidecar_book import SidecarBook
from cellplane.sidecar_publisher import SidecarPublisher
from envoy.sidecar import SidecarSettings
from topology.sidecars import SidecarKeys
from topology.store import Store
from topology.view import View
from xds.cache import Cache
from xds.server import AdsServer


class Sidecars:
    """The publisher and the book, on a store that somebody else opens."""

    def __init__(
        self,
        settings: SidecarSettings | None,
        cache: Cache,
        server: AdsServer,
        store: Store,
        keys: SidecarKeys,
        replica: str,
    ) -> None:
        self._views: Latest[View] = Latest()
        self._newest: View | None = None
        self._publisher = SidecarPublisher(cache, settings) if settings is not None else None
        self._book = SidecarBook(store, keys, server.fleet, server.holds, lambda: self._newest, replica)

    def seen(self, view: View) -> None:
        """Take a new View."""
        self._newest = view
        self._views.set(view)

    def running(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Give what is to be run; nothing where there are no sidecars."""
        return (self._publisher.run(self._views), self._book.run()) if self._publisher is not None else ()
