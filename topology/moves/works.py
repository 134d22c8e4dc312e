"""What each step of a move does, and whether its gate is open: done by the leader, again until it is.

Everything here may be done twice and counts once: freezes are compared, transfers have their id, hooks their
key. It gives the move as it is to be written, and writes no move itself. Third road: what a `Txn` follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from topology import forms
from topology.claims.transfer import Hindered
from topology.errors import StoreError
from topology.moves import machine
from topology.moves.crossing import Crossing, Gone
from topology.moves.fleet import Fleet
from topology.moves.freezing import Freezer
from topology.moves.hooks import Hooks, No, NotYet
from topology.moves.machine import ZEROS, blocks, counted, since, stepped, waits
from topology.moves.model import Move, Order, Step

LOOK_AGAIN: Final = timedelta(seconds=2)
"""So long after one look at what is left to drain the next one counts."""
COME_BACK: Final = timedelta(seconds=60)
"""So long an Envoy that knew of the freeze and is not connected is waited for: its fence holds it."""
_A_WORD: Final = "a person's word: continue, or switch-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """The steps of moves. `who` leads, and what it writes through here is fenced by that."""

    crossing: Crossing
    freezer: Freezer
    fleet: Fleet
    hooks: Hooks
    clock: Callable[[], datetime]
    who: str

    async def work(self, move: Move) -> Move:
        """Do what is to be done at this step; give an equal move where nothing came of it."""
        try:
            if move.said is not None:
                return await self._obeyed(move)
            return move if move.blocked else await self._worked(move)
        except StoreError as error:
            return waits(move, str(error))

    def failed(self, move: Move, words: str) -> Move:
        """Give a move at which we failed in a way that nobody foresaw."""
        return self._blocked(move, f"a fault of the service: {words}")

    async def _obeyed(self, move: Move) -> Move:
        if move.said is not None and move.said.order is Order.ABORT and move.step is Step.TRANSFER:
            gone = await self.crossing.has_gone(move)
            if gone is None:
                return waits(move, "a transfer holds the owner: then the abort")
            if gone:
                return machine.too_late(move)
        return machine.obeyed(move, self.clock(), self.who)

    async def _worked(self, move: Move) -> Move:
        does: Mapping[Step, Callable[[Move], Awaitable[Move]]] = {
            Step.PREPARE: self._prepared,
            Step.FREEZE: self._frozen,
            Step.DRAIN: self._drained,
            Step.TRANSFER: self._transferred,
            Step.PROPAGATE: self._propagated,
            Step.TEST: self._tested,
            Step.COMMIT: self._committed,
            Step.RETURN_FREEZE: self._frozen,
            Step.RETURN_TRANSFER: self._transferred,
            Step.RETURN_PROPAGATE: self._propagated,
            Step.ABORT: self._aborted,
        }
        return await does[move.step](move)

    async def _committed(self, move: Move) -> Move:
        asked = await self._asked(move)
        return self._stepped(asked, "the application has taken note") if asked.hooked else asked

    async def _aborted(self, move: Move) -> Move:
        asked = await self._asked(move)
        if not asked.hooked:
            return asked
        await self.freezer.lift(move)
        return self._stepped(asked, "nothing has moved")

    async def _prepared(self, move: Move) -> Move:
        if problems := await self.crossing.problems(move):
            return self._blocked(move, "; ".join(map(str, problems)))
        records = self.crossing.records(move)
        asked = await self._asked(replace(move, records=records))
        return self._stepped(asked, f"{counted_claims(records)} will go along") if asked.hooked else asked

    async def _frozen(self, move: Move) -> Move:
        frozen = await self.freezer.freeze(move, back=move.step is Step.RETURN_FREEZE)
        if isinstance(frozen, Hindered):
            return waits(move, "; ".join(map(str, frozen.obstacles)))
        reached = await self.fleet.reached(frozen.revision)
        missing = reached.missing or ", ".join(frozen.behind)
        if missing:
            return waits(move, f"the freeze (revision {frozen.revision}) is not acknowledged by {missing}")
        asked = await self._asked(replace(move, envoys=reached.envoys))
        words = f"{_envoys(reached.envoys)} of it since revision {frozen.revision}"
        return self._stepped(asked, words) if asked.hooked else asked

    async def _drained(self, move: Move) -> Move:
        if move.zeros and since(move.zero_at, self.clock()) < LOOK_AGAIN:
            return waits(move, "a second look")
        left = ""
        stays = await self.crossing.hindered(move)
        if stays is not None:
            if not stays.passing:
                return self._blocked(move, stays.words)
            left = stays.words
        answer = await self.hooks.call(move)
        if isinstance(answer, No):
            return self._blocked(move, answer.words)
        if isinstance(answer, NotYet):
            left = "; ".join(filter(None, (left, answer.words)))
        looked = counted(move, self.clock(), self.who, left)
        return self._stepped(looked, "nothing is left") if looked.zeros >= ZEROS else looked

    async def _transferred(self, move: Move) -> Move:
        if not move.hooked:
            return await self._asked(move)
        outcome = await self.crossing.go(move, back=move.step is Step.RETURN_TRANSFER)
        if isinstance(outcome, Gone):
            words = f"{counted_claims(outcome.records)} went, at cursor {outcome.cursor}"
            return self._stepped(replace(move, records=outcome.records), words)
        return waits(move, outcome.words) if outcome.passing else self._blocked(move, outcome.words)

    async def _propagated(self, move: Move) -> Move:
        back = move.step is Step.RETURN_PROPAGATE
        revision = self.crossing.told_at(move, back=back)
        if revision == 0:
            return waits(move, "the topology does not tell of it yet")
        reached = await self.fleet.reached(revision)
        if reached.missing:
            return waits(
                move, f"the new place (revision {revision}) is not acknowledged by {reached.missing}"
            )
        if reached.envoys < move.envoys and since(move.since, self.clock()) < COME_BACK:
            gone = move.envoys - reached.envoys
            return waits(move, f"{gone} Envoys that knew of the freeze are not connected")
        asked = await self._asked(move)
        if not asked.hooked:
            return asked
        return self._stepped(asked, f"{_envoys(reached.envoys)} of it since revision {revision}")

    async def _tested(self, move: Move) -> Move:
        if not move.hooked:
            return await self._asked(move)
        if move.window_seconds == 0:
            return self._blocked(move, _A_WORD)
        began, window = forms.parse_utc(move.since), timedelta(seconds=move.window_seconds)
        if began is None or self.clock() - began >= window:
            return self._stepped(move, "the window is over")
        until = forms.format_utc(began + window)
        return waits(move, f"the window, until {until}; continue ends it, switch-back goes back")

    async def _asked(self, move: Move) -> Move:
        """Have the application do its part, where it has not yet."""
        if move.hooked:
            return move
        match await self.hooks.call(move):
            case No(words):
                return self._blocked(move, words)
            case NotYet(words):
                return waits(move, words)
            case _:
                return replace(move, hooked=True)

    def _stepped(self, move: Move, words: str) -> Move:
        return stepped(move, self.clock(), self.who, words)

    def _blocked(self, move: Move, words: str) -> Move:
        return blocks(move, self.clock(), self.who, words)


def counted_claims(count: int) -> str:
    """Spell so many claims."""
    return f"{count} claim{'' if count == 1 else 's'}"


def _envoys(count: int) -> str:
    return f"{count} Envoy{' knows' if count == 1 else 's know'}"
