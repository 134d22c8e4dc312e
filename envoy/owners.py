"""Who owns what a request names: the answer to a question, from the View and the claims in memory.

`ext_proc` asks it for each claim that Envoy does not remember. It waits for nobody, and never makes a failure
a "not found": without View and claims it is not asked at all. `Request -> ClassificationKey -> Decision`, its
second arrow.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Final

from envoy.classification import BUCKETS, ClassificationKey
from envoy.decision import Lookup
from envoy.questions import Question, Told, bucket_of
from topology.claims.index import ClaimIndex
from topology.claims.owners import FIRST_EPOCH
from topology.service.classify import Lifetimes, is_routed
from topology.view import View

BEHIND_SECONDS: Final = 1
"""How long an answer holds that may be older than what the edge has been told to forget."""


class Outcome(StrEnum):
    """How a question ended, for the metrics."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    NOT_SERVED = "not_served"
    """The owner's cell is not there, or serves nobody now: the edge passes the rule over."""
    BEHIND = "behind"
    """Answered from claims that may be older than what the edge knows of."""


def answer(
    view: View, claims: ClaimIndex, known: int, question: Question, lifetimes: Lifetimes
) -> tuple[Told, Outcome]:
    """Answer a question. A claim that is only leased counts already. `known`: the revision of the topology
    whose drops and moves are in these claims.
    """
    record = claims.find(question.bucket) if question.bucket is not None else None
    if record is None:
        told, outcome = Told(None, 0, lifetimes.not_found), Outcome.NOT_FOUND
    else:
        owner = claims.owners.get(record.metadata.subject)
        told = Told(record.cell_id, owner.epoch if owner else FIRST_EPOCH, lifetimes.found)
        cell = view.cells.get(record.cell_id)
        outcome = Outcome.FOUND if cell is not None and is_routed(cell) else Outcome.NOT_SERVED
    if known < question.at_least:
        return replace(told, seconds=min(told.seconds, BEHIND_SECONDS)), Outcome.BEHIND
    return told, outcome


def remembered_owners(index: ClaimIndex) -> Lookup:
    """Give a lookup among claims that this process holds in memory."""

    def owner(key: ClassificationKey) -> int | None:
        bucket = bucket_of(BUCKETS[key.type], key.value)
        record = index.find(bucket) if bucket is not None else None
        return record.cell_id if record is not None else None

    return owner
