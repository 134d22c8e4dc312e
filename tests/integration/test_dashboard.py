"""Dashboard and rules against a real Prometheus that scrapes a control plane, etcd, ext-proc and an Envoy."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml
from grpc import aio

from cellplane.demo.changes import weighed
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import UNOWNED, Ask, ask, session_ask
from pb.gitlab.cells.topology_service import classify_service_pb2, classify_service_pb2_grpc
from tests.changes_under_traffic import begin_topology
from tests.processes import eventually
from tests.prometheus_server import RULES, PrometheusServer

DASHBOARD: Final = RULES.parent / "grafana" / "cellplane.json"
VARIABLES: Final = {"$__rate_interval": "20s", "$__range": "1m", "$__interval": "5s"}
METRIC: Final = re.compile(r"\b(?:cellplane|envoy|etcd)_[a-z0-9_]+")
# Only there once something has gone wrong, or not with this set-up.
UNSEEN: Final = {
    "cellplane_xds_held",
    "cellplane_records_quarantined",
    "cellplane_certificate_expires_timestamp_seconds",
}
LABELS: Final = {"envoy_cluster_name", "envoy_local_http_ratelimit_prefix", "envoy_response_code_class"}
MAY_BE_EMPTY: Final = {"Acknowledged and rejected B", "Pushes"}
"""Rejections, and the marks of pushes: a moment without any has none."""


def filled(query: str) -> str:
    """Give a query as Grafana sends it."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return query


def queries() -> dict[str, str]:
    """Give each query of the dashboard by the panel's title and its own number."""
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in document["panels"]
        for target in panel.get("targets", ())
    }
    found |= {each["name"]: each["expr"] for each in document["annotations"]["list"]}
    return found


def expressions() -> list[str]:
    """Give each expression of the rules."""
    return [
        rule["expr"]
        for name in ("recording.yaml", "alerts.yaml")
        for group in yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


async def classified(stage: Stage) -> None:
    async with aio.insecure_channel(stage.ports.topology_address) as channel:
        stub: Any = classify_service_pb2_grpc.ClassifyServiceStub(channel)
        await stub.Classify(classify_service_pb2.ClassifyRequest(type=2, value="cell-2"))  # type: ignore[arg-type]  # session


@pytest.mark.tools("prometheus")
async def test_every_query_has_an_answer_and_nothing_fires(tmp_path: Path) -> None:
    async with Stage(tmp_path, Ports()) as stage:
        await begin_topology(stage, f"--ext-proc={stage.ports.ext_proc_address}", "--edge-count-decisions")
        await stage.start_ext_proc()
        await stage.start_envoy()
        address = "127.0.0.1:{}".format
        jobs = {
            "cellplane": ("/metrics", [address(stage.ports.status)]),
            "ext-proc": ("/metrics", [address(stage.ports.ext_proc_status)]),
            "envoy": ("/stats/prometheus", [address(stage.ports.admin)]),
            "etcd": ("/metrics", [stage.etcd_endpoint]),
        }
        prometheus = PrometheusServer(tmp_path / "prometheus", jobs)
        await prometheus.start()
        try:
            weights = itertools.cycle((40, 60))
            found = queries()
            missing = dict(found)

            async def answered() -> bool:
                await _flow(stage, next(weights))
                for name, query in list(missing.items()):
                    if await prometheus.query(filled(query)) or name in MAY_BE_EMPTY:
                        del missing[name]
                return not missing

            try:
                await eventually(answered, "an answer to every query", within=60, every=0.5)
            except AssertionError:
                pytest.fail(f"no answer to {missing}")
            known = {each["metric"]["__name__"] for each in await prometheus.query('{__name__=~".+"}')}
            wanted = {name for text in (*expressions(), *found.values()) for name in METRIC.findall(text)}
            recorded = {name for name in wanted if any(f":{name}" in text for text in known)}
            assert wanted - known - recorded - LABELS <= UNSEEN, "rules ask for metrics that nobody exports"

            async def calm() -> bool:
                return not await prometheus.firing()

            # The one Envoy may lack the newest change just when it is looked at; then it soon has it.
            await eventually(calm, "no alert that fires or is about to", within=30, every=0.5)
        finally:
            await prometheus.stop()


async def _flow(stage: Stage, weight: int) -> None:
    """Let something happen, so that every counter moves."""
    await stage.change(weighed(1, weight))
    async with aiohttp.ClientSession() as session:
        for request in (
            UNOWNED,
            session_ask(2),
            Ask(kind="claimed", path="/nobody/web", headers={}, owner=None),
        ):
            await ask(session, stage.edge_url, request)
    await classified(stage)
