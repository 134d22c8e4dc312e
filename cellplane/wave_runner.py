"""The leader's work on waves: it looks at the whole fleet, and writes the next step into the topology.

One replica leads, by an election; every write is fenced by it. All that a successor needs is in the store:
the wave, the states of before and after, and the story of the push. Publishers follow what it writes. `View
-> Snapshot`, a few nodes at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from cellplane.fleet_record import NodeRecord
from cellplane.fleet_wide import FleetReader
from cellplane.publisher_state import PublisherState, Standing
from cellplane.push_history import PushHistory
from cellplane.pushes import EDGE
from cellplane.recorder import stamp_of
from cellplane.wave_attendance import Attendance
from cellplane.wave_record import ORDER, WAVE, Mode, Wave, WaveState, Word, order_of, settings_of, wave_of
from cellplane.wave_steps import Look, Outcome, Step, concerned, next_step
from cellplane.wave_story import WaveStory
from cellplane.wave_views import WaveViews
from cellplane.wave_watch import WaveWatch
from topology.keys import Keyspace
from topology.leader import Campaign, Leadership
from topology.plan import as_seen
from topology.planning import Plan, plan_document
from topology.store import Conflict, LeasingStore, Txn
from topology.view import View

log = logging.getLogger("cellplane.wave_runner")

ROLE: Final = "waves"
_PAUSE_SECONDS: Final = 0.25
_IDLE_PAUSES: Final = 8
_SMALL_SECONDS: Final = 60.0


class WaveRunner:
    """One replica's part in it. `outcomes` counts how waves ended while it led."""

    def __init__(
        self,
        store: LeasingStore,
        keyspace: Keyspace,
        state: PublisherState,
        fleet: FleetReader,
        history: PushHistory,
        views: WaveViews,
        replica: str,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self.campaign = Campaign(store, keyspace, ROLE, replica)
        self.outcomes: Counter[Outcome] = Counter()
        self._unwatched = ""
        self._store = store
        self._state = state
        self._fleet = fleet
        self._story = WaveStory(history)
        self.views = views
        self._replica = replica
        self._pause_seconds = pause_seconds
        self._watch = WaveWatch()
        self._attendance = Attendance()
        self._small_since: float | None = None
        self._written = 0
        self._unwritable = ""

    @property
    def problem(self) -> str:
        """Why a wave waits that could go on; empty where none does."""
        return self._unwatched or self._unwritable or self.views.problem

    @property
    def leads(self) -> bool:
        """Whether this replica leads."""
        return self.campaign.leadership is not None

    async def run(self) -> None:
        """Take part until cancelled."""
        await self.campaign.run(self._lead)

    async def _lead(self, leadership: Leadership) -> None:
        log.info("waves_led replica=%s", self._replica)
        self._attendance, self._small_since = Attendance(), None
        pauses = 0
        async with self._watch:
            while True:
                if self._is_called_for or not pauses % _IDLE_PAUSES:
                    await self._look(leadership)
                pauses += 1
                await asyncio.sleep(self._pause_seconds)

    @property
    def _is_called_for(self) -> bool:
        """Whether a step may be due."""
        standing, view = self._state.standing, self._state.view
        if self._story.is_untold or (standing is not None and standing.waits):
            return True
        return standing is None and view is not None and wave_of(view, EDGE) is not None

    async def _look(self, leadership: Leadership) -> None:
        """Take one step, if one is due."""
        await self._story.tell()
        view, standing = self._state.view, self._state.standing
        if view is None or view.stale or view.revision < self._written or self._state.frozen is not None:
            return
        nodes = (await self._fleet.read()).nodes
        wave = wave_of(view, EDGE)
        if wave is None:
            await self._engage(leadership, view, len(nodes))
        elif standing is None:
            if order_of(view, wave) is Word.ALL:
                await self._sent_to_all(leadership, view, wave)
        elif (
            # Else the publisher has not come so far yet.
            standing.split.wave == wave
            and standing.newest is view
            and not await self._disengage(leadership, view, standing, len(nodes))
        ):
            await self._step(leadership, view, standing, nodes)

    async def _step(
        self, leadership: Leadership, view: View, standing: Standing, nodes: Sequence[NodeRecord]
    ) -> None:
        wave, settings = standing.split.wave, settings_of(view, EDGE)
        nodes = concerned(standing, nodes)
        going = wave.state is WaveState.GOING
        alarm, unwatched = await self._watch.look(settings) if going else ("", "")
        if unwatched and unwatched != self._unwatched:
            log.warning("wave_unwatched wave=%s reason=%s", wave.id, unwatched)
        self._unwatched = unwatched
        look = Look(
            now=time.time(),
            settings=settings,
            standing=standing,
            order=order_of(view, wave),
            nodes=nodes,
            lost=self._attendance.lost(wave, nodes, settings.lost_seconds) if going else (),
            blocked=self._blocked(),
            unwatched=unwatched,
            alarm=alarm,
        )
        step = next_step(look)
        if step is not None:
            # An Envoy that dies of what it is sent does so at once.
            self._attendance.lost(step.wave, nodes, settings.lost_seconds)
            await self._take(leadership, view, wave, step)

    async def _take(self, leadership: Leadership, view: View, before: Wave, step: Step) -> None:
        after = step.wave
        puts = {}
        if step.keeps_newest:
            puts[self.views.key(EDGE, after.next or after.good)] = await self.views.encoded(view)
        gone = {before.good, before.next} - {"", after.good, after.next}
        if await self._write(leadership, view, after, puts, [self.views.key(EDGE, each) for each in gone]):
            level = logging.WARNING if step.outcome is Outcome.HALTED else logging.INFO
            log.log(level, "wave_step wave=%s state=%s what=%s", step.push, after.state, step.what)
            if step.outcome is not Outcome.GOING:
                self.outcomes[step.outcome] += 1
            self._story.add(step)

    async def _sent_to_all(self, leadership: Leadership, view: View, wave: Wave) -> None:
        """Make what went to all on an operator's word the good state."""
        if self._state.published is not view or self._state.held is not None:
            return
        name = _name(view)
        step = Step(
            wave=Wave(id=name, group=EDGE, state=WaveState.READY, good=name),
            push=wave.id if wave.state is not WaveState.READY else "",
            outcome=Outcome.SENT,
            what="sent to all at once, on an operator's word",
            keeps_newest=True,
        )
        await self._take(leadership, view, wave, step)

    async def _engage(self, leadership: Leadership, view: View, nodes: int) -> None:
        """Let changes go out in waves from now on, where they shall: what all have now is the good state."""
        settings = settings_of(view, EDGE)
        wanted = settings.mode is Mode.ON or (settings.mode is Mode.AUTO and nodes >= settings.min_nodes)
        if not wanted or self._state.published is not view or self._state.held is not None:
            return
        name = _name(view)
        wave = Wave(id=name, group=EDGE, state=WaveState.READY, good=name)
        puts = {self.views.key(EDGE, name): await self.views.encoded(view)}
        if await self._write(leadership, view, wave, puts):
            log.info("waves_engaged group=%s nodes=%d", EDGE, nodes)

    async def _disengage(self, leadership: Leadership, view: View, standing: Standing, nodes: int) -> bool:
        """End waves where a fleet has been small for a while; not while something is under way."""
        settings, wave = settings_of(view, EDGE), standing.split.wave
        idle = wave.state is WaveState.READY and not standing.waits
        if not idle or settings.mode is not Mode.AUTO or nodes >= settings.min_nodes:
            self._small_since = None
            return False
        now = time.monotonic()
        self._small_since = now if self._small_since is None else self._small_since
        if now - self._small_since < _SMALL_SECONDS:
            return False
        if await self._write(leadership, view, None, {}, [self.views.key(EDGE, wave.good)]):
            log.info("waves_ended group=%s nodes=%d", EDGE, nodes)
        return True

    async def _write(
        self,
        leadership: Leadership,
        view: View,
        wave: Wave | None,
        puts: Mapping[str, bytes],
        gone: list[str] | None = None,
    ) -> bool:
        """Write where the wave stands and the states that it names; whatever was ordered is done by that."""
        body = wave.body() if wave is not None else None
        plan = plan_document(view, WAVE, EDGE, body, stamp_of(self._replica))
        if not isinstance(plan, Plan):
            log.error("wave_not_written problems=%s", plan)
            return False
        key = view.keyspace.document(ORDER, EDGE)
        deletes = (*plan.txn.deletes, *(gone or ()), *((key,) if (ORDER, EDGE) in view.documents else ()))
        # What was ordered meanwhile is not done by this step: nothing is written, and the next look obeys.
        compares = (*plan.txn.compares, as_seen(view, key))
        try:
            txn = Txn(compares=compares, puts=(*plan.txn.puts, *puts.items()), deletes=deletes)
        except ValueError as error:
            if not self._unwritable:
                log.exception("wave_not_written group=%s", EDGE)
            self._unwritable = f"the state that a wave begins with cannot be kept: {error}"
            return False
        self._unwritable = ""
        outcome = await self._store.commit(leadership.fenced(txn))
        if isinstance(outcome, Conflict):
            return False
        self._written = outcome.revision
        return True

    def _blocked(self) -> str:
        held = self._state.held
        return f"push {held.id} is held" if held is not None else "; ".join(self._state.refused)


def _name(view: View) -> str:
    """Name a state that is good without a wave of its own."""
    return f"{view.revision:08x}"
