"""Rulesets in files: each problem with its line, and reserved words from a route list beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellplane.ruleset_file import read_ruleset
from topology.model import Problem

NAMESPACE = """\
schema: 2
reserved_from: routes.txt
rules:
  - name: namespace
    type: match
    match:
      - {type: path, template: "/:namespace/*"}
    action: {cell: 3}
  - {name: default, type: default}
"""


def written(folder: Path, text: str, routes: str | None = None) -> Path:
    if routes is not None:
        (folder / "routes.txt").write_text(routes, encoding="utf-8")
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reserved_words_come_from_the_list(tmp_path: Path) -> None:
    body = read_ruleset(written(tmp_path, NAMESPACE, "GET /users/:id /users/3\n* /api/*x /api/v4\n"))
    assert isinstance(body, dict)
    assert body["reserved"] == ["api", "users"]
    assert "reserved_from" not in body
    more = NAMESPACE.replace("rules:", "reserved: [help]\nrules:", 1)
    body = read_ruleset(written(tmp_path, more))
    assert isinstance(body, dict)
    assert body["reserved"] == ["api", "help", "users"]


@pytest.mark.parametrize(
    ("text", "routes", "field", "words"),
    [
        (NAMESPACE, None, "line 2, reserved_from", "No such file"),
        (NAMESPACE, "GET /a", "routes.txt, line 1", "has 2 words"),
        (NAMESPACE.replace("routes.txt", "3"), None, "line 2, reserved_from", "must be the name"),
        (NAMESPACE.replace("reserved_from: routes.txt\n", ""), None, "line 5, rules[0].match", "reserved"),
        (NAMESPACE.replace("cell: 3", "cell: x"), "* /a /a", "line 8, rules[0].action.cell", "its id"),
        (
            NAMESPACE.replace("/:namespace/*", "x"),
            "* /a /a",
            "line 7, rules[0].match[0].template",
            "template",
        ),
        (NAMESPACE.replace("type: default", "type: none"), "* /a /a", "line 9, rules[1].type", "no type"),
        (NAMESPACE.replace("schema: 2", "schema: 3"), "* /a /a", "line 1, schema", "not known"),
        ("[{", None, "rules.yaml", "neither YAML nor JSON"),
        ("", None, "line 1", "is no ruleset"),
        ("- x", None, "line 1", "is no ruleset"),
    ],
)
def test_a_problem_has_its_line(
    tmp_path: Path, text: str, routes: str | None, field: str, words: str
) -> None:
    found = read_ruleset(written(tmp_path, text, routes))
    assert isinstance(found, tuple)
    assert any(each.field.endswith(field) and words in each.message for each in found), found


def test_json_has_lines_too(tmp_path: Path) -> None:
    text = '{"schema": 2,\n "rules": [\n  {"name": "default", "type": "default"},\n  {"name": "x"}]}'
    found = read_ruleset(written(tmp_path, text))
    assert isinstance(found, tuple)
    assert {each.field for each in found} >= {"line 3, rules[0].type", "line 4, rules[1].type"}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (found,) = read_ruleset(tmp_path / "x")
    assert not isinstance(found, str)
    assert "No such file" in found.message


def test_what_is_no_ruleset_at_all_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {a: {}}\nvolumes: {}\nx-a: 1\n", encoding="utf-8")
    (problem,) = read_ruleset(file)
    assert problem == Problem(field="line 1", message="is no ruleset: write an object with schema and rules")
