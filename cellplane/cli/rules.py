"""`cellplane rules`: the ruleset that decides where a request goes; shown, checked, applied.

A ruleset is a document in the topology; it is parsed here before it is written, so that a bad one never
reaches the store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from cellplane.cli.changes import change_options, commit
from cellplane.cli.connection import etcd_options, stamp, with_store
from cellplane.cli.outcome import Exit, fail, output_option, print_json, refuse
from cellplane.settings import EtcdSettings
from envoy.rules import DEFAULT_DOCUMENT, Ruleset, parse_ruleset
from topology.apply import read_view
from topology.planning import plan_document

KIND, NAME = "rules", "current"


@click.group()
def rules() -> None:
    """Rules: how a request finds its cell. Ordered, the first that matches wins."""


@rules.command("show")
@etcd_options
@output_option
def show(etcd: EtcdSettings, output: str) -> None:
    """Show the ruleset in force, as it can be applied again."""
    view = with_store(etcd, read_view)
    if record := view.quarantined.get(view.keyspace.document(KIND, NAME)):
        fail(
            Exit.FAILED,
            f"the ruleset in the store cannot be read: {record.reason}.",
            "Control planes keep the last good one. Apply a ruleset with `cellplane rules apply`.",
        )
    document = view.documents.get((KIND, NAME))
    body: Any = dict(document.body) if document else DEFAULT_DOCUMENT
    if output == "json":
        print_json(body)
        return
    if document is None:
        click.echo("# No ruleset has been applied; this is the one built in.")
    else:
        by = document.stamp
        click.echo(f"# Applied by {by.updated_by} at {by.updated_at}: {by.reason or 'no reason given'}")
    click.echo(yaml.safe_dump(_in_reading_order(body), sort_keys=False), nl=False)


@rules.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Say what is wrong with a ruleset, and change nothing."""
    _read(file)
    click.echo(f"{file} holds.")


@rules.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@etcd_options
@change_options
@output_option
def apply(file: Path, etcd: EtcdSettings, reason: str, dry_run: bool, output: str) -> None:
    """Put a ruleset in force on every edge."""
    body = _read(file)
    commit(
        etcd,
        lambda view: plan_document(view, KIND, NAME, body, stamp(reason)),
        "applying the ruleset",
        dry_run=dry_run,
        output=output,
    )


def _in_reading_order(body: dict[str, Any]) -> dict[str, Any]:
    """Put first what a person looks for first; the store keeps keys sorted."""
    ordered = {"schema": body.get("schema"), **body}
    if isinstance(body.get("rules"), list):
        ordered["rules"] = [
            {"name": rule.get("name"), "type": rule.get("type"), **rule} if isinstance(rule, dict) else rule
            for rule in body["rules"]
        ]
    return ordered


def _read(file: Path) -> dict[str, Any]:
    try:
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(Exit.REFUSED, f"{file}: {error.strerror}.")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fail(Exit.REFUSED, f"{file} is neither YAML nor JSON: {error}.")
    outcome = parse_ruleset(body)
    if not isinstance(outcome, Ruleset):
        refuse(outcome, f"{file}")
    return dict(body)
