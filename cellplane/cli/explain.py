"""`cellplane explain`: where a request would go, and why: each rule, the keys that it took out, the cell.

Decided offline by the reference evaluator, from a ruleset and the cells and owners that the Topology Service
tells; no Envoy is asked. Claims have no past: as of a revision nobody says who owned what.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cellplane.cell_input import InputError
from cellplane.cli.outcome import Exit, fail, output_option, print_fields, print_json, print_table, refuse
from cellplane.cli.owner_lookup import owners
from cellplane.cli.reading import read_cells, read_documents
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.explaining import explanation_json, request_of, status_of
from cellplane.rules_history import CURRENT, KIND
from cellplane.ruleset_file import read_ruleset
from envoy.decision import Explanation, Step
from envoy.evaluator import explain
from envoy.rules import DEFAULT_RULESET, Ruleset, parse_ruleset
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
@click.option("--at", "revision", type=click.IntRange(min=1), help="As the topology was at this revision.")
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
    view = read_cells(service, revision or 0)
    in_force = view if file else read_documents(service, KIND, CURRENT, view.revision)
    ruleset = _ruleset(file, in_force)
    lookup = None if revision else owners(service)
    found = explain(ruleset, view, request, datetime.now(UTC), lookup=lookup)
    if output == "json":
        print_json({"revision": view.revision, **explanation_json(found)})
        return
    rows = [(step.rule, _said(step), ", ".join(map(str, step.keys)) or "-") for step in found.steps]
    print_table(("RULE", "SAID", "KEYS"), rows, empty="No rule was asked.")
    print_fields({**_words(found), "revision": str(view.revision), "decided by": "evaluator, offline"})


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
