"""`cellplane explain`: which rule, which keys, which cell; offline, from what the service knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from cellplane.cli.outcome import Exit
from tests.envoy.token_samples import token

Run = Callable[..., Result]
RULES = """
schema: 2
reserved: [users]
rules:
  - {name: override, type: override, header: x-to, networks: [10.0.0.0/8]}
  - name: namespace
    type: match
    match: [{type: path, template: "/:namespace/*"}]
    action: {classify: [{type: route, value: "${namespace}"}]}
  - name: token
    type: match
    match: [{type: header, name: private-token, as: value}]
    transform: [{type: routable-token, input: "${value}", output: token}]
    action: {classify: [{type: cell_id, value: "${token.c}"}]}
  - name: host
    type: match
    match: [{type: host, values: [old.test]}]
    action: {reject: {status: 410}}
  - {name: default, type: default}
"""


@pytest.fixture
def cells(run: Run) -> None:
    for at in ("1", "2"):
        run("cells", "add", "--id", at, "--endpoint", f"10.0.0.{at}:80", "--state", "ACTIVE")


def explained(run: Run, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("explain", *arguments, "--output", "json").stdout)
    return found


@pytest.mark.usefixtures("cells")
def test_a_request_is_explained(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    header = ("-H", f"Private-Token: {token('c:2')}")
    tried = explained(run, "GET", "https://a.test/acme/x", *header, "--rules", str(path))
    assert (tried["outcome"], tried["rule"], tried["cell"], tried["cluster"]) == (
        "ROUTED",
        "token",
        2,
        "cell-2",
    )
    assert tried["key"] == "cell_id 2"
    steps = {step["rule"]: step for step in tried["steps"]}
    assert steps["namespace"]["skip"] == "not_found"
    assert steps["namespace"]["keys"] == [{"type": "route", "value": "acme"}]
    assert explained(run, "GET", "/acme", *header)["rule"] == "default", "nothing was applied"

    run("rules", "apply", str(path))
    text = run("explain", "GET", "/users/x", *header).stdout
    assert "the path's first segment is reserved" in text
    assert "cell_id 2" in text
    assert explained(run, "GET", "http://old.test")["status"] == 410
    assert explained(run, "GET", "/x", "-H", "Host: old.test:80")["status"] == 410
    assert explained(run, "GET", "/x%00")["outcome"] == "BAD_PATH"
    asked = ("GET", "/", "-H", "x-to: cell-2")
    assert explained(run, *asked, "--peer", "10.1.2.3")["rule"] == "override"
    assert explained(run, *asked, "--peer", "11.1.2.3")["steps"][0]["skip"] == "refused"
    weighed = explained(run, "GET", "/")
    assert weighed["candidates"] == {"1": 100, "2": 100}
    assert weighed["cell"] is None


@pytest.mark.usefixtures("cells")
def test_as_it_was_at_a_revision(run: Run, tmp_path: Path) -> None:
    now = explained(run, "GET", "/")
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    run("rules", "apply", str(path))
    assert explained(run, "GET", "http://old.test/")["outcome"] == "REJECTED"
    before = explained(run, "GET", "http://old.test/", "--at", str(now["revision"]))
    assert before["outcome"] == "ROUTED"
    applied = explained(run, "GET", "/")["revision"]
    asked = explained(run, "GET", "/acme", "--at", str(applied), "--rules", str(path))
    assert asked["steps"][1]["skip"] == "undecided", "claims have no past"


@pytest.mark.usefixtures("cells")
def test_owners_are_looked_up(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    run("claims", "create", "--cell", "2", "ROUTES", "acme")
    found = explained(run, "GET", "/acme/web", "--rules", str(path))
    assert (found["rule"], found["cell"], found["key"]) == ("namespace", 2, "route acme")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("GET", "acme"), "is no URL"),
        (("GET", "/", "-H", "x"), "is no header"),
        (("GET", "/", "--peer", "x"), "is no IP address"),
    ],
)
def test_what_cannot_be_asked(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert words in run("explain", *arguments, expect=Exit.USAGE).stderr


def test_a_bad_file_is_refused_with_its_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.replace("cell_id", "cell"))
    assert (
        "line 14, rules[2].action"
        in run("explain", "GET", "/", "--rules", str(path), expect=Exit.REFUSED).stderr
    )
