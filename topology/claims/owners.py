"""Owners: for whom claims are made, which cell has them, at which epoch; and a transfer on its way.

An owner is the subject of its claims. It is at epoch 1, in the cell that claims for it, until its first
transfer writes a record; from then on the record says where all its claims are, whatever they say
themselves. Third road: what a transfer's `Txn` writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from topology.claims.model import MAX_INT64, Subject, SubjectType
from topology.model import Stamp

FIRST_EPOCH: Final = 1
MAX_OWNERS: Final = 40  # of a transfer: one transaction switches all of them, and has room for generations
_NAME: Final = re.compile(r"([A-Z]+)/([1-9][0-9]{0,18})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """An owner that was transferred, or is about to be. `transfer` is the id of the one that holds it."""

    subject: Subject
    cell_id: int
    epoch: int
    transfer: str
    stamp: Stamp

    @property
    def name(self) -> str:
        """How it is spelled: ORGANIZATION/42."""
        return name_of(self.subject)


@dataclass(frozen=True, slots=True)
class OwnerGone:
    """An owner whose record is not there any more: it counts as one that never moved."""

    subject: Subject


class TransferPhase(StrEnum):
    """How far a transfer has come.

    PREPARING: its owners are held, nothing has moved. MOVED: all has moved, in one write; records are still
    being rewritten, which anybody may finish. GIVEN_UP: nothing will move; its owners are being let go. DONE:
    it is history.
    """

    PREPARING = "PREPARING"
    MOVED = "MOVED"
    GIVEN_UP = "GIVEN_UP"
    DONE = "DONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A transfer on record. `owners` come with the epochs that they leave; `slots` are generations still to
    be written.
    """

    id: str
    phase: TransferPhase
    from_cell: int
    to_cell: int
    owners: tuple[tuple[Subject, int], ...]
    records: int
    slots: tuple[int, ...]
    created_at: datetime
    stamp: Stamp


def is_owner(subject: Subject) -> bool:
    """Tell whether claims of a subject belong to somebody who can be moved."""
    return subject.type is not SubjectType.UNSPECIFIED and 1 <= subject.id <= MAX_INT64


def name_of(subject: Subject) -> str:
    """Spell an owner: ORGANIZATION/42."""
    return f"{subject.type.name}/{subject.id}"


def subject_of(name: str) -> Subject | None:
    """Read an owner's name; None where it is none."""
    found = _NAME.match(name)
    if found is None or found[1] not in SubjectType.__members__:
        return None
    subject = Subject(SubjectType[found[1]], int(found[2]))
    return subject if is_owner(subject) else None


@dataclass(frozen=True, slots=True)
class OwnerElsewhere:
    """The owner is in another cell. Permanent, until it comes."""

    subject: Subject
    cell_id: int
    epoch: int

    def __str__(self) -> str:
        return f"{name_of(self.subject)} is in cell {self.cell_id} (epoch {self.epoch})"


@dataclass(frozen=True, slots=True)
class OwnerMoving:
    """The owner is held by a transfer. Temporary."""

    subject: Subject
    transfer: str

    def __str__(self) -> str:
        return f"{name_of(self.subject)} is being transferred ({self.transfer}): try again later"
