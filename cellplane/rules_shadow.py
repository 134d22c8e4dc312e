"""A candidate ruleset, tried on what Envoy shows: read from each View, and what it would do told.

The ext_proc server hands in requests. A candidate that can't be read is none; the service writes only those
that hold. `Request -> ClassificationKey -> Decision`, twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from cellplane.rules_in_force import RulesInForce
from envoy.owners import overridden_at, remembered_owners
from envoy.shadow import KIND, NAME, Candidate, parse_candidate
from envoy.shadow_counts import ShadowCounts, shown_request
from pb.envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb2
from topology.model import Document
from topology.overrides import overrides_of
from topology.service.sources import Sources
from topology.view import View


class RulesShadow:
    """The candidate, if there is one, and how requests fare under it since it came."""

    def __init__(self, sources: Sources, rules: RulesInForce) -> None:
        self.counts = ShadowCounts()
        self._sources = sources
        self._rules = rules
        self._document: Document | None = None
        self._candidate: Candidate | None = None

    def read(self, view: View) -> None:
        """Take the View's candidate; another one is counted from nothing."""
        document = view.documents.get((KIND, NAME))
        if document is self._document:
            return
        found = parse_candidate(document.body) if document is not None else None
        self._document, self._candidate = document, found if isinstance(found, Candidate) else None
        self.counts = ShadowCounts()

    def shown(self, message: ext_proc_pb2.ProcessingRequest) -> None:
        """Decide a request under both rulesets, and count it."""
        live = self._rules.ruleset
        if self._candidate is None or live is None or not message.HasField("request_headers"):
            return
        now, overrides = datetime.now(UTC), overrides_of(self._sources.view.documents)
        claims = remembered_owners(self._sources.claims, overridden_at(overrides, now))
        request = shown_request(message)
        self.counts.look(request, live, self._candidate.ruleset, self._sources.view, now, claims)

    async def page(self, _: web.Request) -> web.Response:
        """Tell what was counted, and the last requests that would go elsewhere."""
        told = {
            "candidate": asdict(self._document.stamp) if self._document else None,
            "percent": self._candidate.percent if self._candidate else 0,
            "requests": [
                {"live_rule": live, "candidate_rule": candidate, "outcome": outcome, "count": count}
                for (live, candidate, outcome), count in self.counts.counts.most_common()
            ],
            "elsewhere": [asdict(each) for each in self.counts.moved],
        }
        return web.json_response(told, headers={"cache-control": "no-store"})


class ShadowCollector(Collector):
    """The counts as metrics. Labels are rules of the two rulesets, and the outcome."""

    def __init__(self, shadow: RulesShadow) -> None:
        self._shadow = shadow

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        requests = CounterMetricFamily(
            "cellplane_shadow_requests",
            "Requests decided by the candidate ruleset too: by the rule that decides, the one that would, and"
            " whether that leads elsewhere.",
            labels=("live_rule", "candidate_rule", "outcome"),
        )
        for key, count in self._shadow.counts.counts.items():
            requests.add_metric(key, count)
        yield requests
