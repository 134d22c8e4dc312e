"""Who is to have which state: all the newest, or all the last good one and the nodes of a wave the next.

The publisher asks with each View that may go out; what it makes of the answer the cache delivers. It follows
what the leader wrote down, so that all replicas and all reconnecting nodes agree (`View -> Snapshot`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cellplane.wave_change import is_overtaken, past_wave
from cellplane.wave_record import Wave, WaveState, Word, is_canary, order_of, wave_of
from cellplane.wave_views import WaveViews
from topology.view import View
from xds.nodes import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What everyone is to have; what the nodes of the wave are to have instead, if one is going; and what is
    tried, or was and is halted.
    """

    wave: Wave
    base: View
    everyone: View
    tried: View | None = None
    staged: View | None = None

    def takes(self, node: Node) -> bool:
        """Tell whether a node belongs to the wave."""
        return self.wave.takes(node.id, is_canary(node))

    def is_overtaken(self, newest: View) -> bool:
        """Tell whether what is tried was written again meanwhile."""
        return self.tried is not None and is_overtaken(self.base, self.tried, newest)


@dataclass(frozen=True, slots=True)
class NotKnown:
    """Nothing new may go out yet: the states that the wave names are still being read."""


class Delivery:
    """One group's way of delivery. `withdraw` is told of a wave that was taken back."""

    def __init__(
        self, views: WaveViews, group: str, withdraw: Callable[[str], None] = lambda _: None
    ) -> None:
        self.withdraw = withdraw
        self.views = views
        self._group = group

    def split(self, newest: View) -> Split | NotKnown | None:
        """Say who is to have what. None: all are to have the newest."""
        wave = wave_of(newest, self._group)
        if wave is None or order_of(newest, wave) is Word.ALL:
            return None
        self.views.keep(self._group, (wave.good, wave.next))
        base = self.views.get(self._group, wave.good, newest)
        tried = self.views.get(self._group, wave.next, newest) if wave.next else None
        if base is None or (wave.next and tried is None):
            return NotKnown()
        staged = past_wave(tried, newest) if tried is not None and wave.state is WaveState.GOING else None
        return Split(wave=wave, base=base, everyone=past_wave(base, newest), tried=tried, staged=staged)
