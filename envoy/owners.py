"""Who owns what a request names: the answer to a question, from the View and the claims in memory.

`ext_proc` asks it for each claim that Envoy does not remember. It waits for nobody, and never makes a failure
a "not found": without View and claims it is not asked at all. `Request -> ClassificationKey -> Decision`, its
second arrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from envoy.classification import BUCKETS, ClassificationKey
from envoy.decision import BLOCKED, Lookup
from envoy.questions import Question, Told, bucket_of
from topology.claims.index import ClaimIndex
from topology.claims.model import Subject
from topology.claims.owners import FIRST_EPOCH, name_of
from topology.overrides import Overrides
from topology.service.classify import Lifetimes, is_routed
from topology.view import View

BEHIND_SECONDS: Final = 1
"""How long an answer holds that may be older than what the edge has been told to forget."""


Overridden: TypeAlias = Callable[[Subject], tuple[int, int] | None]


def nobody(_: Subject) -> None:
    """Override nobody."""


def overridden_at(overrides: Overrides, now: datetime) -> Overridden:
    """Say what operators want of an owner at a moment: the cell, or `BLOCKED`, and for so many seconds."""
    if not overrides.owners:
        return nobody

    def of(subject: Subject) -> tuple[int, int] | None:
        found = overrides.of_owner(name_of(subject), now)
        if found is None:
            return None
        return found.cell_id or BLOCKED, int((found.until - now).total_seconds())

    return of


class Outcome(StrEnum):
    """How a question ended, for the metrics."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    NOT_SERVED = "not_served"
    """The owner's cell is not there, or serves nobody now: the edge passes the rule over."""
    BEHIND = "behind"
    """Answered from claims that may be older than what the edge knows of."""


def answer(
    view: View,
    claims: ClaimIndex,
    known: int,
    question: Question,
    lifetimes: Lifetimes,
    overridden: Overridden = nobody,
) -> tuple[Told, Outcome]:
    """Answer a question. A claim that is only leased counts already. `known`: the revision of the topology
    whose drops and moves are in these claims. `overridden` gives what an operator says of an owner, and for
    how long.
    """
    record = claims.find(question.bucket) if question.bucket is not None else None
    if record is None:
        told, outcome = Told(None, 0, lifetimes.not_found), Outcome.NOT_FOUND
    else:
        owner = claims.owners.get(record.metadata.subject)
        cell_id, seconds = overridden(record.metadata.subject) or (record.cell_id, lifetimes.found)
        told = Told(cell_id, owner.epoch if owner else FIRST_EPOCH, min(seconds, lifetimes.found))
        cell = view.cells.get(cell_id)
        served = cell_id == BLOCKED or (cell is not None and is_routed(cell))
        outcome = Outcome.FOUND if served else Outcome.NOT_SERVED
    if known < question.at_least:
        return replace(told, seconds=min(told.seconds, BEHIND_SECONDS)), Outcome.BEHIND
    return told, outcome


def remembered_owners(index: ClaimIndex, overridden: Overridden = nobody) -> Lookup:
    """Give a lookup among claims that this process holds in memory; what operators say of an owner goes
    before.
    """

    def owner(key: ClassificationKey) -> int | None:
        bucket = bucket_of(BUCKETS[key.type], key.value)
        record = index.find(bucket) if bucket is not None else None
        if record is None:
            return None
        said = overridden(record.metadata.subject)
        return said[0] if said else record.cell_id

    return owner
