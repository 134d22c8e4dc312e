"""Classes of traffic: which requests a ruleset tells apart from ordinary ones, and how each is treated.

`traffic_parser` makes them of the ruleset's document, `traffic_routes` gives each its counters and its way
through the route table. A class never says which cell a request goes to. `Request -> ClassificationKey ->
Decision`, beside the second arrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoy.match_rules import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How requests are treated. `timeout_seconds` is for the whole answer, from the end of the request (0:
    none); `idle_seconds` for silence both ways (0: it may last for ever; None: what the edge's settings say).

    Without `retries` a request is tried once, and nothing of it is kept for another attempt.
    """

    timeout_seconds: float = 0.0
    idle_seconds: float | None = None
    retries: bool = True


ORDINARY: Final = Manners()
"""The manners of whatever is in no class: a download takes as long as it takes, but must not fall silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficClass:
    """Requests for which all conditions hold. Envoy counts them under the name."""

    name: str
    conditions: tuple[Condition, ...]
    manners: Manners = ORDINARY
