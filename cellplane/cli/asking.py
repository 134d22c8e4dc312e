"""How a command asks a control plane over HTTP: the option that names it, and one question.

`fleet`, `pushes` and `cells list` read through it; nothing here changes anything.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import click

from cellplane.cli.outcome import Exit, fail
from cellplane.http_address import url_of, why

_PATIENCE_SECONDS = 10
_QUIET_SECONDS = 60  # the feed says something four times as often

control_plane_option = click.option(
    "--control-plane",
    default="http://127.0.0.1:18001",
    show_default=True,
    envvar="CELLPLANE_CONTROL_PLANE",
    metavar="URL",
    help="The control plane to ask, by its status address.",
)


_NAME_IT: Final = "Name the right one with --control-plane or CELLPLANE_CONTROL_PLANE."


def ask(
    control_plane: str,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    who: str = "control plane",
    fix: str = _NAME_IT,
) -> dict[str, Any]:
    """Return a page of the control plane, or of another server, as JSON; end the command where none answers.

    A page that says no by its status gives its JSON all the same: /readyz tells its reasons with a 503.
    """
    url = url_of(control_plane) + path + (f"?{urlencode(query)}" if query else "")
    try:
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as response:  # noqa: S310  the operator's URL
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
    except (urllib.error.URLError, OSError, ValueError, TypeError) as error:
        fail(
            Exit.UNAVAILABLE,
            f"no {who} answers at {control_plane}: {why(error)}.",
            fix,
        )


def dump_of(admin: str) -> dict[str, Any]:
    """Return an Envoy's `/config_dump` with its endpoints; end the command where it does not answer."""
    url = url_of(admin) + "/config_dump?include_eds"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as response:  # noqa: S310  the operator's URL
            return dict(json.load(response))
    except (urllib.error.URLError, OSError, ValueError, TypeError) as error:
        fail(
            Exit.UNAVAILABLE,
            f"no Envoy's admin page answers at {admin}: {why(error)}.",
            "Leave --admin out to compare with what the node acknowledged last.",
        )


def listen(control_plane: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what happens, by kind, until the control plane or the person ends it."""
    url = url_of(control_plane) + "/v1/events"
    try:
        with urllib.request.urlopen(url, timeout=_QUIET_SECONDS) as response:  # noqa: S310  the operator's URL
            kind = ""
            for line in response:
                if line.startswith(b"event: "):
                    kind = line[7:].decode().strip()
                elif line.startswith(b"data: "):
                    yield kind, json.loads(line[6:])
    except (urllib.error.URLError, OSError, ValueError) as error:
        fail(Exit.UNAVAILABLE, f"{control_plane} tells no more: {why(error)}.")
    fail(Exit.UNAVAILABLE, f"{control_plane} tells no more: it ended.", "It may be starting anew; try again.")
