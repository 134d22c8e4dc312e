"""A View and the rules in force in it, translated: one translator for each line of successive Views.

The publisher has one for the newest, one for what all have, one for what a wave tries. It remembers the last
ruleset that could be read; the translation itself is `envoy.translate`'s (`View -> Snapshot`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from cellplane.rules_in_force import RulesInForce
from envoy.edge import EdgeSettings
from envoy.translate import Translation, translate
from topology.timings import Timings
from topology.view import View


class Translator:
    """Translate Views. `builds` is told how long each took."""

    def __init__(self, settings: EdgeSettings, wall_clock: Callable[[], datetime], builds: Timings) -> None:
        self._settings = settings
        self._wall_clock = wall_clock
        self._builds = builds
        self._rules = RulesInForce()

    @property
    def problem(self) -> str:
        """What is wrong with the rules of the last View."""
        return self._rules.problem

    def make(self, view: View, before: Translation | None = None) -> Translation | None:
        """Translate; None where no ruleset can be read and none was before."""
        self._rules.read(view)
        if self._rules.ruleset is None:
            return None
        began = time.perf_counter()
        made = translate(view, self._rules.ruleset, self._settings, self._wall_clock(), before)
        self._builds.add(time.perf_counter() - began)
        return made
