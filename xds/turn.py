"""What one type has to say at one moment: upserts, removals, and what the client has once it accepts them.

A stream fills it name by name and joins a response from it (`Snapshot -> Response`). It lives for one call;
it knows no other types and no time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xds.copies import Copy
from xds.in_flight import InFlight
from xds.ledger import Ledger
from xds.openings import Opening
from xds.placeholders import bodiless, empty
from xds.resource import Absence, Reference, Resource
from xds.wire import Response


@dataclass(slots=True)
class Turn:
    """Collects what to say of the open names of a ledger, and which of them are done with."""

    ledger: Ledger
    open: bool
    """Whether the types that come before have been acknowledged."""
    lacking: Sequence[Reference]
    """What the client may lack: whoever names it waits."""
    upserts: list[Resource] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    sent: dict[str, Resource | None] = field(default_factory=dict)
    changed: list[Resource] = field(default_factory=list)
    """Upserts that the client does not have yet, or not so."""
    blocking: bool = False
    opening: Opening | None = None
    """Where all of this was worked out for another stream."""
    _done: list[str] = field(default_factory=list)
    _silent: list[str] = field(default_factory=list)

    @property
    def has_all_to_say(self) -> bool:
        """Tell whether nothing has to wait, and nobody asked for anything special."""
        ledger = self.ledger
        return self.open and not (self.lacking or ledger.forced or ledger.leaving)

    def take(self, opening: Opening) -> None:
        """Say what another stream said that was in the same place."""
        self.opening = opening
        self.upserts = list(opening.upserts)
        self.sent = dict(opening.sent)
        self.blocking = opening.blocking

    def opening_of(self, resources: Mapping[str, Resource], behind: Mapping[str, Copy]) -> Opening:
        """Make an opening of what this turn came to."""
        return Opening(
            resources, behind, tuple(self.upserts), dict(self.sent), self.children(), self.blocking
        )

    def children(self) -> tuple[Reference, ...]:
        """List what starts to wait anew because of what is sent."""
        if self.opening is not None:
            return self.opening.children
        kinds = self.ledger.step.followed_by
        return tuple(key for one in self.changed for key in one.references if key[0] in kinds)

    def in_flight(self, response: Response) -> InFlight:
        """Return what the ledger notes of a response that says all of this."""
        whole = self.opening.resources if self.opening is not None else None
        return InFlight(response, self.sent, self.blocking, self.children(), whole)

    def give(self, given: Resource, has: Copy, *, is_stand_in: bool = False) -> None:
        """Send a resource, unless the client has it, or it has to wait. `given` may stand in for a rejected
        one.
        """
        name = given.name
        forced = name in self.ledger.forced
        if not forced and isinstance(has, Resource) and has.version == given.version:
            if not is_stand_in:
                self.done(name)
            return
        if not self.open or any(key in given.references for key in self.lacking):
            return
        self.upserts.append(given)
        self.sent[name] = given
        self.blocking |= forced or self.ledger.step.updates_block or not isinstance(has, Resource)
        if name in self.ledger.behind:
            self.changed.append(given)

    def say_nothing_there(self, name: str, absence: Absence) -> bool:
        """Say that there is nothing under this name. False where nothing is to be said."""
        if absence is Absence.SILENCE:
            return False
        if absence is Absence.EMPTY or absence is Absence.BODILESS:
            make = empty if absence is Absence.EMPTY else bodiless
            nothing = make(self.ledger.type, name)
            if self.ledger.holds.effective(nothing) is not nothing:
                return False
            self.upserts.append(nothing)
        else:
            has = self.ledger.behind.get(name)
            self.removed.append(has.alias_of or name if isinstance(has, Resource) else name)
        self.sent[name] = None
        return True

    def also_remove(self, name: str) -> None:
        """Remove what nobody asked for by this name, unless the name is empty."""
        if name:
            self.removed.append(name)

    def done(self, name: str) -> None:
        """Close a name: the client has what it shall have, or need not be told."""
        self._done.append(name)

    def keep_silent(self, name: str) -> None:
        """Say nothing now, though it was asked for; the client is still behind."""
        self._silent.append(name)

    def close(self) -> None:
        """Close in the ledger what was found to be done."""
        self.ledger.forced.difference_update(self._done, self._silent)
        for name in self._done:
            self.ledger.behind.pop(name, None)
