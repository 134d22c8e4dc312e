"""`cellplane pushes waves`: how changes reach the fleet, where the one under way stands, and a word on it.

Asks a control plane where waves stand; settings and orders are written through the Topology Service, and the
leader does what follows. `pushes` has it as a group.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cellplane.cell_input import InputError, seconds
from cellplane.cli.asking import ask, control_plane_option
from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.outcome import Exit, fail, output_option, print_fields, print_json, print_table, warn
from cellplane.cli.reading import read_documents
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.push_report import when
from cellplane.pushes import EDGE
from cellplane.wave_record import ORDER, SETTINGS, WAVE, Mode, Query, Stage, Word, settings_of, wave_of


class _Duration(click.ParamType[float]):
    """Seconds, as 30s, 5m or 1h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(seconds(str(value)))
        except InputError as error:
            self.fail(str(error), param, ctx)


class _Stage(click.ParamType[Stage]):
    """A share of the nodes and how long it bakes."""

    name = "stage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Stage:
        share, _, bake = str(value).partition(":")
        try:
            percent = 0.0 if share == "canary" else float(share.removesuffix("%"))
            return Stage(percent=percent, bake_seconds=float(seconds(bake)))
        except (ValueError, InputError):
            self.fail(f"{value!r}: write canary:30s or 10%:5m", param, ctx)


class _Query(click.ParamType[Query]):
    """A Prometheus query and its limit."""

    name = "query"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Query:
        name, _, rest = str(value).partition("=")
        expression, _, limit = rest.rpartition(">")
        try:
            return Query(name=name.strip(), expression=expression.strip(), limit=float(limit))
        except ValueError:
            self.fail(f"{value!r}: write NAME=EXPRESSION>LIMIT", param, ctx)


@click.group("waves")
def waves() -> None:
    """Waves: a change goes to a few nodes first, and comes back by itself where it does harm."""


@waves.command("show")
@control_plane_option
@output_option
def show(control_plane: str, output: str) -> None:
    """Say how changes go out, and where the one stands that is under way."""
    page = ask(control_plane, "/v1/waves")
    if output == "json":
        print_json(page)
        return
    if "groups" not in page:
        fail(Exit.UNAVAILABLE, f"what answers at {control_plane} is no control plane of this version.")
    for group in page["groups"]:
        wave, settings = group["wave"], group["settings"]
        fields = {
            "group": group["group"],
            "waves": settings["mode"],
            "state": wave["state"] if wave else "off: to all at once",
        }
        if wave and wave["state"] == "GOING":
            fields |= {"wave": wave["id"], "nodes": f"{wave['nodes']} of {wave['of']}",
                       "stage since": when(wave["stage_at"])}  # fmt: skip
        if wave and wave["state"] == "HALTED":
            fields |= {"wave": wave["id"], "why": wave["reason"]}
        fields["waits"] = (
            f"{len(group['pending'])} lines: `cellplane pushes diff pending`"
            if group["pending"]
            else "nothing"
        )
        fields["from"] = f"{settings['min_nodes']} nodes on" if settings["mode"] == Mode.AUTO else "-"
        fields["patience"] = (
            f"{settings['patience_seconds']:g} s to acknowledge, {settings['lost_seconds']:g} s away"
        )
        fields["halts above"] = f"{settings['most_lost_percent']:g} % late or lost"
        fields["holds above"] = f"{settings['most_gone_percent']:g} % of clusters or routes gone"
        fields["prometheus"] = settings["prometheus"] or "-"
        print_fields(fields)
        click.echo()
        rows = [
            (f"{one['percent']:g} %" if one["percent"] else "canaries", f"{one['bake_seconds']:g} s")
            for one in settings["stages"]
        ]
        print_table(("STAGE", "BAKES"), [*rows, ("all", "-")], empty="")
        if settings["queries"]:
            queries = [(one["name"], one["expression"], f"{one['limit']:g}") for one in settings["queries"]]
            print_table(("QUERY", "EXPRESSION", "HALTS ABOVE"), queries, empty="")
    if page["problem"]:
        warn(f"WAITING: {page['problem']}.")


@waves.command("set")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    help="auto: from --min-nodes on; on; off: to all at once.",
)
@click.option("--min-nodes", type=click.IntRange(min=1), help="With auto, so many nodes make waves worth it.")
@click.option(
    "--stage",
    "stages",
    type=_Stage(),
    multiple=True,
    metavar="SHARE:BAKE",
    help="canary:30s or 10%:5m; all stages, in order.",
)
@click.option("--patience", type=_Duration(), help="How long a node may take to acknowledge everything.")
@click.option("--lost", type=_Duration(), help="How long a node of a wave may be away.")
@click.option(
    "--most-lost", type=float, metavar="PERCENT", help="More nodes of a stage late or lost halt it."
)
@click.option(
    "--most-gone",
    type=float,
    metavar="PERCENT",
    help="Hold a push that takes away more of the clusters or of the routes (rules); waves or not.",
)
@click.option("--prometheus", metavar="URL", help="Whom to ask while a wave goes.")
@click.option(
    "--query",
    "queries",
    type=_Query(),
    multiple=True,
    metavar="NAME=EXPR>LIMIT",
    help="Halt above a limit; all queries.",
)
@click.option("--no-queries", is_flag=True, help="Ask nothing.")
@service_options
@change_options
@yes_option
@output_option
def set_waves(
    service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str, **given: Any
) -> None:
    """Change how changes go out; what is not given stays as it is.

    \b
      cellplane pushes waves set --stage canary:1m --stage 1%:5m --stage 10%:5m --stage 50%:5m
      cellplane pushes waves set --prometheus http://prometheus:9090 \\
        --query 'errors=sum(rate(envoy_http_downstream_rq_xx{envoy_response_code_class="5"}[1m]))>5'
    """  # noqa: D301  click wants the character itself
    view = read_documents(service, SETTINGS)
    names = {
        "patience": "patience_seconds",
        "lost": "lost_seconds",
        "most_lost": "most_lost_percent",
        "most_gone": "most_gone_percent",
    }
    changed = {
        names.get(name, name): value
        for name, value in given.items()
        if name != "no_queries" and value is not None and value != ()
    }
    if given["no_queries"]:
        changed["queries"] = ()
    if not changed:
        fail(Exit.USAGE, "nothing is to be changed.", "`cellplane pushes waves set --help` says what can be.")
    if "mode" in changed:
        changed["mode"] = Mode(changed["mode"])
    settings = replace(settings_of(view, EDGE), **changed)
    commit(
        service,
        document_change(SETTINGS, EDGE, settings.body(), reason),
        dry_run=dry_run,
        yes=yes,
        ask="Send changes to all nodes at once from now on?" if settings.mode is Mode.OFF else "",
        output=output,
    )


def _order(word: Word, question: str, text: str) -> click.Command:
    """Make the command that gives an order."""

    @click.command(word.value, help=text)
    @click.argument("wave_id", metavar="ID")
    @service_options
    @change_options
    @yes_option
    @output_option
    def order(
        wave_id: str, service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str
    ) -> None:
        send_order(service, wave_id, word, reason, dry_run=dry_run, yes=yes, ask=question, output=output)

    return order


def send_order(
    service: ServiceSettings,
    wave_id: str,
    word: Word,
    reason: str,
    *,
    dry_run: bool,
    yes: bool,
    ask: str,
    output: str,
) -> None:
    """Give an order about the wave that is there; the service refuses what does not fit."""
    change = document_change(ORDER, EDGE, {"wave": wave_id, "word": word.value}, reason)
    commit(service, change, dry_run=dry_run, yes=yes, ask=ask, output=output)


def is_wave(service: ServiceSettings, wave_id: str) -> bool:
    """Tell whether a wave of this id is there."""
    wave = wave_of(read_documents(service, WAVE), EDGE)
    return wave is not None and wave.id == wave_id


waves.add_command(
    _order(
        Word.HALT,
        "Take the wave's nodes back?",
        "Stop the wave ID: its nodes go back to the last good state.",
    )
)
waves.add_command(
    _order(Word.RETRY, "Begin the wave again?", "Begin the halted wave ID again, with the first stage.")
)
