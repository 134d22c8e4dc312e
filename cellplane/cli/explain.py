"""`cellplane explain`: where a request would go, and why: each rule, the keys that it took out, the cell.

Decided by the reference evaluator, from a ruleset and the cells and owners that the Topology Service tells;
with --live a real edge decides too, and the two are compared. Claims have no past: as of a revision nobody
says who owned what.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from cellplane.cell_input import InputError
from cellplane.cli.changes import yes_option
from cellplane.cli.live import HARMLESS, Live, ask_edge, differences
from cellplane.cli.outcome import (
    Exit,
    confirm,
    fail,
    output_option,
    print_fields,
    print_json,
    print_table,
    refuse,
)
from cellplane.cli.owner_lookup import Owners
from cellplane.cli.ranges import REVISION
from cellplane.cli.reading import read_cells, read_documents
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.explaining import decided_by, explanation_json, request_of, status_of
from cellplane.rules_history import CURRENT, KIND
from cellplane.ruleset_file import read_ruleset
from envoy.decision import Explanation, Step
from envoy.evaluator import explain
from envoy.owners import overridden_at
from envoy.request import Request
from envoy.rules import DEFAULT_RULESET, Ruleset, parse_ruleset
from topology.overrides import KIND as OVERRIDES
from topology.overrides import overrides_of
from topology.view import View


@click.command("explain")
@click.argument("method")
@click.argument("url")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; repeat it."
)
@click.option("--peer", default="", metavar="IP", help="The direct peer's address, for overrides.")
@click.option("--identity", "identities", multiple=True, help="A name in the peer's verified certificate.")
@click.option(
    "--rules", "file", type=click.Path(path_type=Path), help="A ruleset to try, not the one in force."
)
@click.option("--at", "revision", type=REVISION, help="As the topology was at this revision.")
@click.option(
    "--live",
    metavar="URL",
    help="Send the request to this edge too (http://HOST:PORT, https://…), and so to a cell, and compare.",
)
@click.option("--live-ca", type=click.Path(path_type=Path), help="CA of that edge's certificate.")
@yes_option
@service_options
@output_option
def explain_command(
    method: str,
    url: str,
    headers: tuple[str, ...],
    peer: str,
    identities: tuple[str, ...],
    file: Path | None,
    revision: int | None,
    live: str | None,
    live_ca: Path | None,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Say where a request would go, and why.

    \b
    cellplane explain GET https://gitlab.example/acme/web
    cellplane explain POST /api/v4/jobs/request -H 'runner-token: glrt-…'

    Who owns what the request names is looked up as it is now; with --at it is not.
    """  # noqa: D301  click wants the character itself
    try:
        request = request_of(method, url, headers, peer, identities)
    except InputError as error:
        fail(Exit.USAGE, str(error))
    real = _sent(request, live, live_ca, revision, yes=yes) if live else None
    if real is not None and not peer:
        request = replace(request, peer=real.peer)
    view = read_cells(service, revision or 0)
    in_force = view if file else read_documents(service, KIND, CURRENT, view.revision)
    ruleset = _ruleset(file, in_force)
    overrides = read_documents(service, OVERRIDES, revision=view.revision if revision else 0).documents
    view, now = replace(view, documents=overrides), datetime.now(UTC)
    lookup = None if revision else Owners(service, overridden_at(overrides_of(overrides), now))
    found = explain(ruleset, view, request, now, lookup=lookup)
    key = found.decision.key
    epoch = lookup.epochs.get(key) if lookup is not None and key is not None else None
    differs = tuple(differences(found, real)) if real is not None else ()
    if output == "json":
        told = {"revision": view.revision, "epoch": epoch, **explanation_json(found, ruleset)}
        if real is not None:
            told["live"] = {**asdict(real), "differs": list(differs)}
        print_json(told)
    else:
        rows = [(step.rule, _said(step), ", ".join(map(str, step.keys)) or "-") for step in found.steps]
        print_table(("RULE", "SAID", "KEYS"), rows, empty="No rule was asked.")
        words = {**_words(found), "decided by": decided_by(found, ruleset), "revision": str(view.revision)}
        if epoch is not None:
            words["owner's epoch"] = str(epoch)
        if real is not None:
            words["live"] = f"{real.status}, rule {real.rule or '-'}, {real.cell or 'no cell'}"
        print_fields(words)
    if differs:
        fail(Exit.FAILED, f"{'; '.join(differs)}.", "If the edge lacks a push, `cellplane fleet` says so.")


def _sent(request: Request, live: str, ca: Path | None, revision: int | None, *, yes: bool) -> Live:
    if revision:
        fail(Exit.USAGE, "--live asks the edge as it is now: leave --at out.")
    if request.method not in HARMLESS:
        confirm(f"Send this {request.method} to a cell, for real?", yes=yes)
    return ask_edge(live, request, ca)


def _ruleset(file: Path | None, view: View) -> Ruleset:
    if file is not None:
        body = read_ruleset(file)
        if isinstance(body, tuple):
            refuse(body, f"{file}")
        parsed = parse_ruleset(body)
    elif document := view.documents.get((KIND, CURRENT)):
        parsed = parse_ruleset(document.body)
    else:
        return DEFAULT_RULESET
    if not isinstance(parsed, Ruleset):
        refuse(parsed, "the ruleset in force cannot be read and is")
    return parsed


def _said(step: Step) -> str:
    words = [f"passed over ({step.skip})" if step.skip else "", step.why, "decides" if step.decision else ""]
    return ": ".join(word for word in words if word)


def _words(found: Explanation) -> dict[str, str]:
    decision = found.decision
    words = {"outcome": decision.outcome.value, "path": found.path or "refused by Envoy"}
    if decision.rule:
        words["rule"] = decision.rule
    if decision.key:
        words["key"] = str(decision.key)
    if decision.cell is not None:
        words["cell"] = str(decision.cell)
    elif decision.candidates:
        words["cells, by weight"] = ", ".join(f"{cell} ({weight})" for cell, weight in decision.candidates)
    if decision.cluster:
        words["cluster"] = decision.cluster
    if status := status_of(decision):
        words["answer"] = str(status)
    return words
