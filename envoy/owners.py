"""Who owns what a request names: the answer to a question, from the View and the claims in memory.

`ext_proc` asks it for each claim that Envoy does not remember. It waits for nobody, and never makes a failure
a "not found": without View and claims it is not asked at all. `Request -> ClassificationKey -> Decision`, its
second arrow.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from envoy.questions import Question, Told
from topology.claims.model import Bucket, Record
from topology.service.classify import Lifetimes, is_routed
from topology.view import View

FIRST_EPOCH: Final = 1
"""The epoch of an owner that never moved."""
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
    view: View, find: Callable[[Bucket], Record | None], cursor: int, question: Question, lifetimes: Lifetimes
) -> tuple[Told, Outcome]:
    """Answer a question from claims as of a cursor. A claim that is only leased counts already."""
    record = find(question.bucket) if question.bucket is not None else None
    cell = None if record is None else view.cells.get(record.cell_id)
    if record is None:
        outcome, seconds = Outcome.NOT_FOUND, lifetimes.not_found
    else:
        outcome = Outcome.FOUND if cell is not None and is_routed(cell) else Outcome.NOT_SERVED
        seconds = lifetimes.found
    if cursor < question.at_least:
        outcome, seconds = Outcome.BEHIND, min(seconds, BEHIND_SECONDS)
    return Told(record.cell_id if record else None, FIRST_EPOCH if record else 0, seconds), outcome
