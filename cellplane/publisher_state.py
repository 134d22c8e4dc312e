"""What a publisher has come to: the newest View, what all have, what some try, what is held or refused.

The publisher writes it; status pages, metrics and the leader of waves read it (`View -> Snapshot`, told).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cellplane.delivery import Split
from cellplane.push_diff import effective_revision
from cellplane.push_record import digest_of, push_id
from cellplane.pushes import EDGE, Frozen, HeldPush
from cellplane.wave_change import essence
from topology.timings import Timings
from topology.view import View
from xds.snapshot import Snapshot

BUILD_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where changes stand on their way through waves.

    `waits`: the newest has something that not everyone has. `waits_behind`: even those of the wave lack
    something of it. `newest` is that View, `snapshot` what Envoys would be told of it.
    """

    split: Split
    newest: View
    snapshot: Snapshot
    waits: bool
    waits_behind: bool

    @property
    def push_id(self) -> str:
        """The id of the push that the newest would be: the same at every replica."""
        return push_id(EDGE, effective_revision(essence(self.newest)), digest_of(self.snapshot))

    def body(self) -> dict[str, Any]:
        """Return what pages say of it."""
        wave = self.split.wave
        return {**wave.body(), "waits": self.waits, "waits_behind": self.waits_behind}


@dataclass(slots=True)
class PublisherState:
    """What the status pages and the metrics read. `view` is the newest seen, `published` the newest that was
    sent.
    """

    view: View | None = None
    published: View | None = None
    published_at: float = 0.0
    held: HeldPush | None = None
    frozen: Frozen | None = None
    refused: tuple[str, ...] = ()
    publishes: int = 0
    holds: int = 0
    refusals: int = 0
    failures: int = 0
    builds: Timings = field(default_factory=lambda: Timings(BUILD_SECONDS))
    rules_problem: str = ""
    standing: Standing | None = None
    """None where changes go to all at once."""
    staged: View | None = None

    def is_stale(self, connected: bool) -> bool:
        """Say whether what is known may be out of date: etcd is not followed, or was not heard of yet."""
        return not connected or self.view is None or self.view.stale
