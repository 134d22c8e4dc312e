"""What comes of a request, as values: the decision, and each rule's part in it.

The evaluator makes them; commands show them, and tests compare them with what a real Envoy did. `Request ->
ClassificationKey -> Decision`, its last noun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from envoy.classification import ClassificationKey
from envoy.match_rules import Skip
from topology.model import MAX_ID

BLOCKED: Final = MAX_ID + 1
"""What a lookup gives for an owner that an operator blocks: no cell has this id."""
BLOCKED_STATUS: Final = 403


class Silence(Enum):
    """What a lookup gives where nobody answered in time. Never "not found"."""

    UNANSWERED = "unanswered"


Lookup = Callable[[ClassificationKey], int | Silence | None]
"""Says which cell owns a claim; None: nobody does."""


class Outcome(StrEnum):
    """What comes of a request: a cell, or an answer of the edge's own."""

    ROUTED = "ROUTED"
    FIXED = "FIXED"
    """To a cluster of the ruleset's own, which is no cell."""
    QUARANTINED = "QUARANTINED"
    NO_CELL = "NO_CELL"
    REJECTED = "REJECTED"
    """A rule answers with a status of its own."""
    BAD_PATH = "BAD_PATH"
    """Envoy refuses the request's path, before any rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which rule decided, for which cell, and what was passed over on the way.

    `cell` is None where no cell is meant, or where weights divide: `candidates` has each with its weight.
    `cluster` is where Envoy sends it, `status` what it answers where a rule or a policy rejects. `key` is the
    key that decided.
    """

    outcome: Outcome
    rule: str = ""
    cell: int | None = None
    candidates: tuple[tuple[int, int], ...] = ()
    skips: tuple[tuple[str, Skip], ...] = ()
    cluster: str = ""
    status: int = 0
    key: ClassificationKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one rule had to say: the keys that it took out, and why it did not decide, if it did not."""

    rule: str
    keys: tuple[ClassificationKey, ...] = ()
    skip: Skip | None = None
    why: str = ""
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and each rule that was asked on the way to it."""

    decision: Decision
    path: str | None
    steps: tuple[Step, ...]
