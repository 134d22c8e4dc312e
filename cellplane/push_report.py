"""Pushes for people: a row each, one in full, and what an event of the feed says in a line.

The command prints what it makes of the pages of a control plane. Pure: JSON in, text out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

COLUMNS: Final = (
    "ID", "WHEN", "REVISION", "CAUSE", "WHAT", "BY", "WAVE", "EDGES", "P50", "P99", "LAST", "REJECTED"
)  # fmt: skip
MAY_DROP: Final = ("REVISION", "P50", "LAST", "CAUSE", "BY")
_LONGEST: Final = 70


def push_row(push: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a table row."""
    outcome = push["outcome"]
    return (
        push["id"],
        when(push["at"]),
        str(push["revision"]),
        ",".join(push["causes"]) or "-",
        headline(push),
        ", ".join(push["authors"]) or "-",
        wave_state(push) or "-",
        reached(outcome),
        span(outcome["p50_ms"]),
        span(outcome["p99_ms"]),
        span(outcome["last_ms"]),
        str(outcome["rejected"]) if outcome["rejected"] else "-",
    )


def headline(push: Mapping[str, Any]) -> str:
    """Say what a push changes in a few words."""
    told = [line for line in push["lines"] if not line.endswith(": unchanged")]
    if not told:
        return "nothing that is told"
    first = told[0] if len(told[0]) <= _LONGEST else f"{told[0][: _LONGEST - 1]}…"
    records = [line for line in told if line.startswith(("cell ", "rules: "))]
    more = len(records) - 1 + int(push.get("more_records", 0))
    return f"{first} (+{more})" if more > 0 else first


def push_fields(push: Mapping[str, Any]) -> dict[str, str]:
    """Return one push as fields of text."""
    outcome = push["outcome"]
    return {
        "push": push["id"],
        "when": when(push["at"]),
        "group": push["group"],
        "revision": str(push["revision"]),
        "causes": ", ".join(push["causes"]) or "-",
        "by": ", ".join(push["authors"]) or "-",
        "reason": "; ".join(push["reasons"]) or "-",
        **({"wave": wave_state(push)} if "wave" in push else {}),
        "edges": reached(outcome),
        "times": (
            f"first {span(outcome['first_ms'])}, p50 {span(outcome['p50_ms'])}, "
            f"p99 {span(outcome['p99_ms'])}, last {span(outcome['last_ms'])}"
        ),
        "rejected": f"{outcome['rejected']} times" if outcome["rejected"] else "no",
    }


def rejection_lines(push: Mapping[str, Any]) -> Iterator[str]:
    """Yield who rejected it, in Envoy's words."""
    for one in push["outcome"]["rejections"]:
        names = ", ".join(one["names"]) or "(not named)"
        yield f"rejected by {one['node']}: {one['type']} {names}: {one['message']}"


def wave_state(push: Mapping[str, Any]) -> str:
    """Say how far a push has come that goes out in waves; empty where it does not."""
    wave = push.get("wave")
    if wave is None:
        return ""
    return f"{wave['nodes']} of {wave['of']} nodes" if wave["state"] == "GOING" else str(wave["state"])


def wave_lines(push: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happened to a push on its way through waves, in order."""
    for event in push.get("wave", {}).get("events", ()):
        yield f"{when(event['at'])} wave: {event['what']}"


def reached(outcome: Mapping[str, Any]) -> str:
    """Say how many edges have it, of those that were there when it went out."""
    rest = [f"{outcome[name]} {name}" for name in ("waiting", "left") if outcome[name]]
    return f"{outcome['nodes']}" + (f" ({', '.join(rest)})" if rest else "")


def span(milliseconds: float | None) -> str:
    """Write a time."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.0f} s"


def when(at: float) -> str:
    """Write a moment, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def blame(push: Mapping[str, Any]) -> str:
    """Name a push where something is its fault."""
    by = f" by {', '.join(push['authors'])}" if push["authors"] else ""
    return f"push {push['id']} of {when(push['at'])}{by}: {headline(push)}"


def event_line(kind: str, body: Mapping[str, Any]) -> str:
    """Say in a line what happened; empty for what is of no interest to who watches pushes."""
    match kind:
        case "push" if body.get("wave"):
            line = f"  {body['id']}: wave: {body['wave']['events'][-1]['what']}"
        case "push":
            by = f" by {', '.join(body['authors'])}" if body["authors"] else ""
            line = f"{when(body['at'])} push {body['id']}{by}: {headline(body)}"
        case "outcome":
            outcome = body["outcome"]
            bad = f", REJECTED {outcome['rejected']} times" if outcome["rejected"] else ""
            line = f"  {body['id']}: {reached(outcome)} edges, p99 {span(outcome['p99_ms'])}{bad}"
        case "frozen":
            line = f"FROZEN by {body['by']}: {body['reason']}; nothing goes out"
        case "held":
            line = f"HELD: push {body['id']}: {body['reason']}"
        case "lost":
            line = f"({body['events']} events were lost: this terminal was too slow)"
        case _:
            ends = {"resumed": "resumed: what waited goes out", "released": "nothing is held any more"}
            line = ends.get(kind, "")
    return line
