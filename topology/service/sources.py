"""What the services answer from: the newest View and the claims in memory, each once it has been read.

The composition root makes it, each service holds it. `Request -> ClassificationKey -> Decision`: where both
halves of a decision lie.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from topology.claims.follower import ClaimFollower
from topology.claims.index import ClaimIndex
from topology.service.failure import not_ready
from topology.view import View
from topology.watcher import Listener


async def _there_already(_: int) -> None:
    """Wait for nothing: a View that nobody moves."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The View and the claims, as they are now. `followed` tells whether the View is kept up to date,
    `reached` waits until it holds everything up to a revision, `listen` has somebody told of each step.
    """

    newest_view: Callable[[], View | None]
    follower: ClaimFollower
    followed: Callable[[], bool] = lambda: True
    reached: Callable[[int], Awaitable[None]] = _there_already
    listen: Callable[[Listener], None] = lambda _: None

    @property
    def view(self) -> View:
        """The newest View. Raises Failure while there is none."""
        view = self.newest_view()
        if view is None:
            raise not_ready("the topology")
        return view

    @property
    def stale(self) -> bool:
        """Tell whether the store may have gone on without the View."""
        view = self.newest_view()
        return view is not None and (view.stale or not self.followed())

    @property
    def claims(self) -> ClaimIndex:
        """All claims. Raises Failure while they are not read."""
        if not self.follower.loaded:
            raise not_ready("the claims")
        return self.follower.index

    @property
    def ready(self) -> bool:
        """Tell whether every question can be answered."""
        return self.newest_view() is not None and self.follower.loaded
