"""How commands end: one message, one code, tables that a pipe can cut up."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.outcome import Exit, confirm, fail, print_fields, print_json, print_table, refuse
from topology.model import Problem


def output_of(function: object, *arguments: object, **more: object) -> tuple[int, str, str]:
    @click.command()
    def command() -> None:
        function(*arguments, **more)  # type: ignore[operator]

    result = CliRunner().invoke(command)
    return result.exit_code, result.stdout, result.stderr


def test_a_table_in_a_pipe_is_not_folded() -> None:
    long = "x" * 150
    code, said, _ = output_of(print_table, ("A", "B"), [("1", long)], empty="none")

    assert code == 0
    assert any(long in line and line.startswith("1") for line in said.splitlines())


def test_a_narrow_terminal_loses_columns_and_never_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    monkeypatch.setenv("COLUMNS", "24")
    _, said, _ = output_of(
        print_table,
        ("ID", "NAME", "REASON"),
        [("1", "name", "x" * 30)],
        empty="",
        may_drop=("REASON", "NAME"),
    )

    assert "REASON" not in said
    assert "ID" in said
    assert "NAME" in said


def test_a_table_of_a_pipe_is_aligned_and_ends_where_its_text_does() -> None:
    _, said, _ = output_of(print_table, ("ID", "NAME"), [("1", "日本"), ("22", "x")], empty="")
    assert said == "ID   NAME\n─────────\n1    日本\n22   x\n"


def test_names_that_a_terminal_would_obey_are_spelled() -> None:
    odd = "a\nb\x1b[2J"
    for said in (
        output_of(print_table, ("A",), [(odd,)], empty="")[1],
        output_of(print_fields, {"A": odd})[1],
    ):
        assert "a\\nb\\x1b[2J" in said


def test_no_rows_are_a_sentence() -> None:
    assert output_of(print_table, ("A",), [], empty="There is none.")[1] == "There is none.\n"


def test_json_is_one_document() -> None:
    assert json.loads(output_of(print_json, {"b": [1], "a": None})[1]) == {"a": None, "b": [1]}


def test_fields_are_aligned() -> None:
    assert output_of(print_fields, {"id": "1", "region": "eu"})[1] == "id      1\nregion  eu\n"


def test_a_refusal_names_every_field() -> None:
    problems = (Problem(field="a", message="is wrong"), Problem(field="b", message="too"))
    code, _, said = output_of(refuse, problems, "adding")

    assert code == Exit.REFUSED
    assert "adding refused; nothing was changed" in said
    assert "a: is wrong" in said
    assert "b: too" in said


def test_a_failure_has_its_own_code_and_hint() -> None:
    assert output_of(fail, Exit.CONFLICT, "too late", "Look again.") == (
        4,
        "",
        "Error: too late\nLook again.\n",
    )


def test_without_a_terminal_only_yes_agrees() -> None:
    assert output_of(confirm, "Sure?", yes=True)[0] == Exit.OK
    code, _, said = output_of(confirm, "Sure?", yes=False)
    assert code == Exit.REFUSED
    assert "--yes" in said


def test_on_a_terminal_no_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        confirm("Sure?", yes=False)
        click.echo("done")

    assert "done" not in CliRunner().invoke(command, input="n\n").stdout
    assert "done" in CliRunner().invoke(command, input="y\n").stdout


def test_of_very_many_problems_the_first_are_told() -> None:
    few, many = (tuple(Problem(field=f"f{at}", message="is wrong") for at in range(end)) for end in (20, 213))
    assert len(output_of(refuse, few, "it")[2].splitlines()) == 21
    told = output_of(refuse, many, "it")[2].splitlines()
    assert told[-2:] == ["  f18: is wrong", "  … and 194 more"]
