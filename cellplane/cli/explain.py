"""`cellplane explain`: where a request would go, and why: each rule, the keys that it took out, the cell.

Decided offline by the reference evaluator, from a ruleset and the cells and owners that the Topology Service
tells; no Envoy is asked. Claims have no past: as of a revision nobody says who owned what.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from cellplane.cli.outcome import Exit, fail, output_option, print_fields, print_json, print_table, refuse
from cellplane.cli.owner_lookup import owners
from cellplane.cli.reading import read_cells, read_documents
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.rules_history import CURRENT, KIND
from cellplane.ruleset_file import read_ruleset
from envoy.decision import Decision, Explanation, Outcome, Step
from envoy.evaluator import explain
from envoy.rules import DEFAULT_RULESET, Request, Ruleset, parse_ruleset
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
    request = _request(method, url, headers, peer, identities)
    view = read_cells(service, revision or 0)
    in_force = view if file else read_documents(service, KIND, CURRENT, view.revision)
    ruleset = _ruleset(file, in_force)
    lookup = None if revision else owners(service)
    found = explain(ruleset, view, request, datetime.now(UTC), lookup=lookup)
    if output == "json":
        print_json({"revision": view.revision, **_as_json(found)})
        return
    rows = [(step.rule, _said(step), ", ".join(map(str, step.keys)) or "-") for step in found.steps]
    print_table(("RULE", "SAID", "KEYS"), rows, empty="No rule was asked.")
    print_fields({**_words(found), "revision": str(view.revision), "decided by": "evaluator, offline"})


def _request(
    method: str, url: str, headers: tuple[str, ...], peer: str, identities: tuple[str, ...]
) -> Request:
    authority, path = "", url
    if "://" in url:
        authority, slash, rest = url.partition("://")[2].partition("/")
        authority, mark, query = authority.partition("?")
        path = f"/{'?' + query if mark else rest}" if mark or slash else "/"
    if not path.startswith("/"):
        fail(Exit.USAGE, f"{url!r} is no URL: write https://host/path, or /path.")
    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            fail(Exit.USAGE, f"{header!r} is no header: write 'name: value'.")
        if name.strip().lower() == "host":
            authority = value.strip()
        else:
            pairs.append((name.strip(), _bytes(value.strip())))
    if peer:
        try:
            ip_address(peer)
        except ValueError:
            fail(Exit.USAGE, f"--peer: {peer!r} is no IP address.")
    return Request(
        method=method,
        path=_bytes(path.partition("#")[0]),
        authority=authority,
        headers=tuple(pairs),
        peer=peer,
        identities=identities,
    )


def _bytes(text: str) -> str:
    """Give a text as its bytes on the wire, one character each."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


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
    if status := _status(decision):
        words["answer"] = str(status)
    return words


def _status(decision: Decision) -> int:
    match decision.outcome:
        case Outcome.QUARANTINED | Outcome.NO_CELL:
            return 503
        case Outcome.BAD_PATH:
            return 400
        case _:
            return decision.status


def _as_json(found: Explanation) -> dict[str, Any]:
    decision = found.decision
    return {
        "outcome": decision.outcome.value,
        "path": found.path,
        "rule": decision.rule,
        "key": str(decision.key) if decision.key else None,
        "cell": decision.cell,
        "candidates": {str(cell): weight for cell, weight in decision.candidates},
        "cluster": decision.cluster or None,
        "status": _status(decision) or None,
        "decided_by": "evaluator",
        "steps": [
            {
                "rule": step.rule,
                "decides": step.decision is not None,
                "skip": step.skip.value if step.skip else None,
                "why": step.why or None,
                "keys": [{"type": key.type.value, "value": key.value} for key in step.keys],
            }
            for step in found.steps
        ],
    }
