"""`cellplane rules`: the rulesets that decide where a request goes: checked, compared, applied, taken back.

A ruleset is a document in the topology. It is parsed here, where its file's lines are known, and again by the
service before it is written: a bad one never reaches the store.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table, refuse
from cellplane.cli.reading import read_documents
from cellplane.cli.rules_shadow import shadow
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.rules_history import CURRENT, KIND, Version, version_to_restore, versions
from cellplane.ruleset_file import read_ruleset
from cellplane.yaml_text import parse_yaml
from envoy.gitlab_rules import import_rules
from envoy.rules import DEFAULT_DOCUMENT, Ruleset, parse_ruleset
from topology.view import View

VERSION = click.IntRange(min=1)
_READING_ORDER = (
    *("schema", "reserved", "clusters", "traffic", "rules"),
    *("name", "type", "match", "transform", "validate", "action", "otherwise"),
)
_RANKS = {name: rank for rank, name in enumerate(_READING_ORDER)}


@click.group()
def rules() -> None:
    """Rules: how a request finds its cell. Ordered, the first that matches wins."""


rules.add_command(shadow)


@rules.command("show")
@click.option("--version", type=VERSION, help="Show a version of the history; by default the one in force.")
@service_options
@output_option
def show(version: int | None, service: ServiceSettings, output: str) -> None:
    """Show a ruleset, as it can be applied again."""
    view = read_documents(service, KIND)
    document = view.documents.get((KIND, CURRENT))
    body: Any = _version(view, version) if version else dict(document.body) if document else DEFAULT_DOCUMENT
    if output == "json":
        print_json(body)
        return
    if version:
        click.echo(f"# Version {version}.")
    elif document is None:
        click.echo("# No ruleset has been applied; this is the one built in.")
    else:
        by = document.stamp
        click.echo(f"# Applied by {by.updated_by} at {by.updated_at}: {by.reason or 'no reason given'}")
    click.echo(_yaml(body), nl=False)


@rules.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Say what is wrong with a ruleset, line by line, and change nothing."""
    _read(file)
    click.echo(f"{file} holds.")


@rules.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@service_options
@change_options
@output_option
def apply(file: Path, service: ServiceSettings, reason: str, dry_run: bool, output: str) -> None:
    """Put a ruleset in force on every edge."""
    body = _read(file)
    commit(service, document_change(KIND, CURRENT, body, reason), dry_run=dry_run, output=output)


@rules.command("diff")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--version", type=VERSION, help="Compare a version of the history with the ruleset in force.")
@service_options
def diff(file: Path | None, version: int | None, service: ServiceSettings) -> None:
    """Show how a file, or a version, differs from the ruleset in force."""
    if (file is None) == (version is None):
        fail(Exit.USAGE, "name a file, or --version.")
    body = _read(file) if file else None
    view = read_documents(service, KIND)
    document = view.documents.get((KIND, CURRENT))
    here = _yaml(dict(document.body) if document else DEFAULT_DOCUMENT)
    there = _yaml(body if body is not None else _version(view, version or 0))
    names = ("in force", str(file) if file else f"version {version}")
    lines = list(difflib.unified_diff(here.splitlines(), there.splitlines(), *names, lineterm=""))
    click.echo("\n".join(lines) if lines else "They are the same.")


@rules.command("history")
@service_options
@output_option
def history(service: ServiceSettings, output: str) -> None:
    """List the rulesets that were in force, the last one first."""
    kept = versions(read_documents(service, KIND))[::-1]
    if output == "json":
        print_json(
            [
                {
                    "version": each.number,
                    "rules": len(each.body["rules"]),
                    "updated_by": each.stamp.updated_by,
                    "updated_at": each.stamp.updated_at,
                    "reason": each.stamp.reason,
                }
                for each in kept
            ]
        )
        return
    rows = [
        (
            str(each.number),
            str(len(each.body["rules"])),
            each.stamp.updated_by,
            each.stamp.updated_at,
            each.stamp.reason,
        )
        for each in kept
    ]
    print_table(("VERSION", "RULES", "BY", "AT", "REASON"), rows, empty="No ruleset has been applied.")


@rules.command("rollback")
@click.argument("version", type=VERSION, required=False)
@service_options
@change_options
@yes_option
@output_option
def rollback(
    version: int | None, service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str
) -> None:
    """Put an earlier version in force again: the one before the last, or the one named."""
    because = reason or f"rollback to {f'version {version}' if version else 'the version before'}"
    chosen = version_to_restore(read_documents(service, KIND), version)
    if not isinstance(chosen, Version):
        refuse((chosen,), "the rollback")
    commit(
        service,
        document_change(KIND, CURRENT, chosen.body, because),
        dry_run=dry_run,
        yes=yes,
        ask="Put it in force on every edge?",
        output=output,
    )


@rules.command("import")
@click.argument("file", type=click.Path(path_type=Path))
def import_(file: Path) -> None:
    """Print GitLab's router rules (JSON) as a ruleset, to be looked at, checked and applied."""
    try:
        body, _ = parse_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(Exit.REFUSED, f"{file}: {error.strerror}.")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fail(Exit.REFUSED, f"{file} is neither YAML nor JSON: {error}.")
    imported = import_rules(body)
    if not isinstance(imported, Mapping):
        refuse(imported, f"{file}")
    outcome = parse_ruleset(imported)
    if not isinstance(outcome, Ruleset):
        refuse(outcome, f"{file}")
    click.echo(_yaml(imported), nl=False)


def _version(view: View, number: int) -> Mapping[str, Any]:
    found = [each for each in versions(view) if each.number == number]
    if not found:
        fail(
            Exit.NOT_FOUND,
            f"version {number} is not kept.",
            "`cellplane rules history` lists those that are.",
        )
    return dict(found[0].body)


def _yaml(body: Mapping[str, Any]) -> str:
    return yaml.safe_dump(_in_reading_order(body), sort_keys=False)


def _in_reading_order(value: Any) -> Any:
    """Put first what a person looks for first, the rest by the alphabet, and copy what is shared.

    However a file was written, and however the store keeps it, it reads the same: lines can be compared.
    """
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: (_RANKS.get(name, len(_RANKS)), str(name)))
        return {name: _in_reading_order(value[name]) for name in names}
    return [_in_reading_order(each) for each in value] if isinstance(value, list | tuple) else value


def _read(file: Path) -> dict[str, Any]:
    found = read_ruleset(file)
    if isinstance(found, tuple):
        refuse(found, f"{file}")
    return found
