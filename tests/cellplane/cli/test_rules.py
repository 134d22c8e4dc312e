"""`cellplane rules`: shown as it can be applied again, and never written when it does not hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from cellplane.cli.outcome import Exit
from envoy.rules import DEFAULT_DOCUMENT

Run = Callable[..., Result]
EXAMPLE = Path(__file__).parents[3] / "examples/rules/gitlab.yaml"
GOOD = """
schema: 1
rules:
  - {name: path, type: path_prefix, prefixes: {/acme: 3}}
  - {name: default, type: default}
"""
MATCH = """\
schema: 2
rules:
  - name: a
    type: match
    match: [{}]
    {}
"""


def test_without_a_ruleset_the_built_in_one_is_shown(run: Run) -> None:
    shown = run("rules", "show").stdout

    assert "built in" in shown
    assert yaml.safe_load(shown) == DEFAULT_DOCUMENT


def test_what_is_shown_can_be_applied_again(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD)
    assert "holds" in run("rules", "check", str(path)).stdout
    run("rules", "apply", str(path), "--dry-run")
    assert "built in" in run("rules", "show").stdout, "a dry run writes nothing"

    run("rules", "apply", str(path), "--reason", "acme moved")
    shown = run("rules", "show").stdout

    assert "Applied by ada" in shown
    assert "acme moved" in shown
    assert yaml.safe_load(GOOD) == yaml.safe_load(shown)
    path.write_text(shown)
    run("rules", "apply", str(path))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[{", "neither YAML nor JSON"),
        ("schema: 1\nrules: []", "rules"),
        ("schema: 3\nrules: [{name: default, type: default}]", "schema"),
        ("schema: 1\nrules: [{name: default, type: nonsense}]", "rules[0].type"),
        (
            MATCH.format(
                "{type: header, name: x, as: v}", "transform: [{type: rot13, input: '${v}', output: o}]"
            ),
            "line 6, rules[0].transform[0].type: 'rot13' is no transform",
        ),
        (
            MATCH.format("{type: header, name: x, regex: '(?=a)b'}", ""),
            "line 5, rules[0].match[0].regex: uses looking ahead, (?=, which RE2 refuses",
        ),
        (
            MATCH.format(
                "{type: path, template: '/:a/*'}", "action: {classify: [{type: route, value: '${a}'}]}"
            ),
            "line 5, rules[0].match: takes the first segment of a path for a name",
        ),
        (
            MATCH.format("{type: path, prefix: /a}", "action: {reject: {status: 410}}")
            + "  - {name: b, type: match, match: [{type: path, prefix: /a/b}], action: {cell: 1}}\n",
            "line 7, rules[1]: is never reached: rules[0] (a) takes all that it would take",
        ),
    ],
)
def test_a_ruleset_that_does_not_hold_is_named_and_not_written(
    run: Run, tmp_path: Path, text: str, named: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)

    assert named in run("rules", "apply", str(path), expect=Exit.REFUSED).stderr
    assert named in run("rules", "check", str(path), expect=Exit.REFUSED).stderr
    assert "built in" in run("rules", "show").stdout


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert "No such file" in run("rules", "check", str(tmp_path / "x"), expect=Exit.REFUSED).stderr


def test_versions_are_kept_compared_and_taken_back(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    assert "No ruleset" in run("rules", "history").stdout
    for cell in (3, 4):
        path.write_text(GOOD.replace("3", str(cell)))
        run("rules", "apply", str(path), "--reason", f"acme to {cell}")
    assert "They are the same." in run("rules", "diff", str(path)).stdout
    assert "-    /acme: 4\n+    /acme: 3" in run("rules", "diff", "--version", "1").stdout

    history = run("rules", "history").stdout
    assert history.index("acme to 4") < history.index("acme to 3")
    run("rules", "rollback", expect=Exit.REFUSED)
    assert "would: rules: version 3" in run("rules", "rollback", "--dry-run").stdout
    run("rules", "rollback", "--yes")
    assert "/acme: 3" in run("rules", "show").stdout
    assert "rollback to the version before" in run("rules", "history").stdout
    run("rules", "rollback", "2", "--yes")
    assert "/acme: 4" in run("rules", "show", "--version", "4").stdout
    assert '"version": 4' in run("rules", "history", "--output", "json").stdout
    assert "not kept" in run("rules", "show", "--version", "9", expect=Exit.NOT_FOUND).stderr
    assert "not kept" in run("rules", "rollback", "9", "--yes", expect=Exit.REFUSED).stderr
    run("rules", "diff", expect=Exit.USAGE)


def test_a_file_and_what_the_store_keeps_of_it_differ_in_what_is_said_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "gitlab.yaml"
    written = EXAMPLE.read_text(encoding="utf-8")
    shutil.copy(EXAMPLE.parent / "routes.txt", tmp_path)
    path.write_text(written, encoding="utf-8")
    run("rules", "apply", str(path))
    assert "They are the same." in run("rules", "diff", str(path)).stdout
    path.write_text(written.replace("name: session", "name: cookie"), encoding="utf-8")
    changed = [line for line in run("rules", "diff", str(path)).stdout.splitlines() if line[0] in "+-"][2:]
    assert changed == ["-- name: session", "+- name: cookie"]
    run("rules", "show", "--version", "0", expect=Exit.USAGE)


def test_rules_of_gitlabs_router_are_imported(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.json"
    rule = '{"id": "first", "action": "classify", "classify": {"type": "FIRST_CELL"}}'
    path.write_text(f'{{"rules": [{rule}]}}')
    imported = run("rules", "import", str(path)).stdout
    (tmp_path / "rules.yaml").write_text(imported)
    assert "holds" in run("rules", "check", str(tmp_path / "rules.yaml")).stdout
    path.write_text('{"rules": [{"id": "x", "action": "proxy"}]}')
    assert "no counterpart" in run("rules", "import", str(path), expect=Exit.REFUSED).stderr
    path.write_text("[{")
    assert "neither YAML" in run("rules", "import", str(path), expect=Exit.REFUSED).stderr
    assert "No such file" in run("rules", "import", str(tmp_path / "y"), expect=Exit.REFUSED).stderr
