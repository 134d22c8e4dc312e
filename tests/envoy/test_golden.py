"""Golden files: a View, rules and settings in `tests/golden/in`, what Envoy is told of them in `out`.

`make golden` rewrites `out` and deletes what no case makes any more; every case is also shown to Envoy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from envoy.edge import EdgeSettings, EdgeTls, Lookups, LookupTls, Tracing
from envoy.passthrough import Passthrough
from envoy.rules import DEFAULT_DOCUMENT, Ruleset, parse_ruleset
from envoy.static import described, static_bootstrap
from envoy.translate import translate
from tests.conftest import Accepts
from tests.envoy.certificates import Operators
from topology.codec import decode
from topology.keys import CellKey
from topology.model import Cell, Endpoint
from topology.view import View
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from xds.snapshot import Snapshot

FOLDER: Final = Path(__file__).resolve().parent.parent / "golden"
CASES: Final = sorted(path.stem for path in (FOLDER / "in").glob("*.yaml"))
KINDS: Final = {
    "clusters": CLUSTER,
    "endpoints": ENDPOINT,
    "listeners": LISTENER,
    "routes": ROUTE,
    "secrets": SECRET,
}
REWRITE: Final = os.environ.get("REWRITE_GOLDEN") == "1"
# What a case does not write. Every field is in a record, so the files in `out` change when a default does.
CELL: Final[Mapping[str, Any]] = {
    "schema": 1,
    "state": "ACTIVE",
    "addresses": {},
    "http2": False,
    "sequence_ranges": [],
    "capacity": 0,
    "weight": 100,
    "ring": 0,
    "region": "",
    "epoch": 1,
    "drain": None,
    "previous_state": None,
    "updated_by": "golden",
    "updated_at": "2026-03-01T11:00:00Z",
    "reason": "",
}


def read_cell(body: Mapping[str, Any]) -> Cell:
    cell_id = body["id"]
    own = {"name": f"cell-{cell_id}", "session_prefix": f"cell-{cell_id}"}
    places = body.get("endpoints", [{"host": f"10.0.{cell_id}.1", "port": 8080}])
    endpoints = [{"zone": "", "weight": 1, **place} for place in places]
    record = decode(CellKey(cell_id), json.dumps({**CELL, **own, **body, "endpoints": endpoints}).encode())
    assert isinstance(record, Cell), record
    return record


def snapshot(case: str) -> Snapshot:
    body = yaml.safe_load((FOLDER / "in" / f"{case}.yaml").read_text(encoding="utf-8"))
    settings = dict(body.get("settings", {}))
    if "tls" in settings:
        settings["tls"] = EdgeTls(**settings["tls"])
    if "lookups" in settings:
        places = tuple(Endpoint(**place) for place in settings["lookups"].pop("endpoints"))
        if "tls" in settings["lookups"]:
            settings["lookups"]["tls"] = LookupTls(**settings["lookups"]["tls"])
        settings["lookups"] = Lookups(endpoints=places, **settings["lookups"])
    if "passthrough" in settings:
        settings["passthrough"] = tuple(
            Passthrough(**{**each, "protocols": tuple(each["protocols"])}) for each in settings["passthrough"]
        )
    if "tracing" in settings:
        places = tuple(Endpoint(**place) for place in settings["tracing"].pop("endpoints"))
        settings["tracing"] = Tracing(endpoints=places, **settings["tracing"])
    rules = parse_ruleset(body.get("rules", DEFAULT_DOCUMENT))
    assert isinstance(rules, Ruleset), rules
    cells = [read_cell(each) for each in body["cells"]]
    now: datetime = body.get("now", datetime.fromisoformat("2026-03-01T12:00:00Z"))
    view = View(revision=1, cells={each.id: each for each in cells})
    return translate(view, rules, EdgeSettings(**settings), now, None).snapshot


@pytest.mark.parametrize("case", CASES)
def test_golden_files_hold(case: str) -> None:
    made = snapshot(case)
    for name, kind in KINDS.items():
        file = FOLDER / "out" / f"{case}.{name}.yaml"
        text = yaml.safe_dump(described(made, kind), width=110)
        if REWRITE:
            file.write_text(text, encoding="utf-8")
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: see what changed, then make golden"


def test_there_is_no_golden_file_without_its_case() -> None:
    wanted = {f"{case}.{name}.yaml" for case in CASES for name in KINDS}
    orphans = [path for path in (FOLDER / "out").iterdir() if path.name not in wanted]
    if REWRITE:
        for path in orphans:
            path.unlink()
        orphans = []
    assert not orphans, "make golden deletes them"


@pytest.mark.parametrize("case", CASES)
async def test_envoy_accepts_every_golden_case(case: str, envoy_accepts: Accepts, tmp_path: Path) -> None:
    made = snapshot(case)
    assert made.problems() == ()
    operators = Operators(tmp_path / "tls")
    operators.issue("edge", names=("edge.test",))
    text = json.dumps(static_bootstrap(made)).replace("/etc/cellplane", str(tmp_path / "tls"))
    await envoy_accepts(json.loads(text))
