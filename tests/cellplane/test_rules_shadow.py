from __future__ import annotations

from types import MappingProxyType
from typing import Any

from cellplane.rules_in_force import RulesInForce
from cellplane.rules_shadow import RulesShadow, ShadowCollector
from envoy.rules import DEFAULT_DOCUMENT
from envoy.shadow import KIND, NAME
from pb.envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb2
from tests.cellplane.views import STAMP
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Document
from topology.service.sources import Sources
from topology.view import View


def view(body: Any) -> View:
    document = Document(kind=KIND, name=NAME, body=body, stamp=STAMP)
    return View(documents=MappingProxyType({(KIND, NAME): document}))


def request() -> ext_proc_pb2.ProcessingRequest:
    message = ext_proc_pb2.ProcessingRequest()
    for name, value in ((":method", b"GET"), (":path", b"/x")):
        message.request_headers.headers.headers.add(key=name, raw_value=value)
    return message


def test_another_candidate_is_counted_from_nothing_and_without_one_nothing_is() -> None:
    follower = ClaimFollower(StoredClaims(MemoryStore(), ClaimKeyspace.beside(Keyspace("/c"))))
    follower.loaded = True
    rules = RulesInForce()
    shadow = RulesShadow(Sources(View, follower), rules)
    rules.read(View())
    shadow.shown(request())
    assert not shadow.counts.counts
    candidate = view({"percent": 5, "ruleset": DEFAULT_DOCUMENT})
    shadow.read(candidate)
    shadow.shown(request())
    shadow.read(candidate)
    shadow.shown(request())
    assert shadow.counts.counts == {("default", "default", "same"): 2}
    (metric,) = ShadowCollector(shadow).collect()
    assert [(sample.labels["outcome"], sample.value) for sample in metric.samples] == [("same", 2.0)]
    shadow.read(view({"percent": 6, "ruleset": DEFAULT_DOCUMENT}))
    assert not shadow.counts.counts
    shadow.read(view({"percent": 5, "ruleset": {}}))
    shadow.shown(request())
    assert not shadow.counts.counts, "one that can't be read is none"
