"""All that a control plane does for sidecars, as one part: what they are told, and what is kept on record of
them.

The composition root makes it, shows it each View and runs it. Without settings there are none, and it does
nothing. `View -> Snapshot`, and back.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from cellplane.latest import Latest
from cellplane.publisher import Publisher
from cellplane.sidecar_book import SidecarBook
from cellplane.sidecar_publisher import SidecarPublisher
from envoy.sidecar import SidecarSettings
from topology.sidecars import SidecarKeys
from topology.store import Store
from topology.view import View
from xds.cache import Cache
from xds.server import AdsServer


class Sidecars:
    """The publisher and the book, on a store that somebody else opens. `edges` publishes to the edges, whose
    rules sidecars have.
    """

    def __init__(
        self,
        settings: SidecarSettings | None,
        cache: Cache,
        server: AdsServer,
        store: Store,
        keys: SidecarKeys,
        replica: str,
        edges: Publisher | None = None,
    ) -> None:
        self._views: Latest[View] = Latest()
        self._newest: View | None = None
        if edges is not None:
            edges.offered = self.again
        sent = edges.state if edges is not None else None
        self._publisher = SidecarPublisher(cache, settings, sent) if settings is not None else None
        self._book = SidecarBook(store, keys, server.fleet, server.holds, lambda: self._newest, replica)

    def seen(self, view: View) -> None:
        """Take a new View."""
        self._newest = view
        self._views.set(view)

    def again(self) -> None:
        """Look once more: the edges have been sent something."""
        if self._newest is not None:
            self._views.set(self._newest)

    def running(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Give what is to be run; nothing where there are no sidecars."""
        return (self._publisher.run(self._views), self._book.run()) if self._publisher is not None else ()
