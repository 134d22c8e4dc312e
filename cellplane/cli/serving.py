"""Options of a Topology Service, alone (`cellplane topology`) or in the control plane's process: one table.

Both read the same variables of the environment, which are not those by which commands find a service.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cellplane.cli.outcome import Exit, fail
from cellplane.move_hooks import read_hooks
from cellplane.settings import Listen, SettingsError, TlsFiles
from cellplane.topology_service import ServingSettings
from topology.service.classify import Lifetimes
from topology.service.identity import Names
from topology.service.places import CallLimit, Mode

T = TypeVar("T")

_FILE: Final = click.Path(path_type=Path)
_SECONDS: Final = click.IntRange(min=0)
_TABLE: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "rest-listen",
        {
            "metavar": "HOST:PORT",
            "help": "Where routers and programs ask over HTTP (see /openapi.json); if not given, nowhere.",
        },
    ),
    (
        "found-ttl",
        {
            "type": _SECONDS,
            "default": Lifetimes().found,
            "show_default": True,
            "help": "Seconds that an HTTP answer with a cell may be remembered.",
        },
    ),
    (
        "not-found-ttl",
        {
            "type": _SECONDS,
            "default": Lifetimes().not_found,
            "show_default": True,
            "help": "Seconds that an HTTP answer without one may be remembered.",
        },
    ),
    (
        "cert",
        {"type": _FILE, "help": "Certificate of the service; with it and its key, it is TLS."},
    ),
    ("key", {"type": _FILE, "help": "Its key."}),
    (
        "client-ca",
        {
            "type": _FILE,
            "help": "CA that clients' certificates must come from; with it, access rules are applied.",
        },
    ),
    (
        "admin",
        {
            "multiple": True,
            "metavar": "NAME",
            "help": "A common name that is an admin, besides ADMIN and ADMIN-….",
        },
    ),
    (
        "router",
        {
            "multiple": True,
            "metavar": "NAME",
            "help": "A common name that is a router, besides ROUTER and ROUTER-….",
        },
    ),
    (
        "trusted-proxy",
        {
            "multiple": True,
            "metavar": "NAME",
            "help": "Common name of a proxy that ends TLS and forwards its client's subject, and no other.",
        },
    ),
    (
        "call-limit",
        {
            "type": click.IntRange(min=0),
            "default": 0,
            "show_default": True,
            "help": "Calls of one caller that are answered at once; 0 for no limit.",
        },
    ),
    (
        "call-limit-mode",
        {
            "type": click.Choice([mode.value for mode in Mode]),
            "default": Mode.LOG.value,
            "show_default": True,
            "help": "What becomes of those beyond: they are logged and counted, or refused.",
        },
    ),
    (
        "move-hooks",
        {
            "type": _FILE,
            "help": "What is called of the application while an owner moves (YAML; see docs/moves.md).",
        },
    ),
)


_WITH_DEFAULTS: Final = ("listen", "found-ttl", "not-found-ttl", "call-limit-mode")


def serving_options(prefix: str, listen: dict[str, Any]) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Add the options, each with a prefix; the command receives them as one argument `serving`.

    It is None where no address to listen on is given, and then nothing else may be given either.
    """

    def add(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def with_settings(**arguments: Any) -> T:
            given = {name: arguments.pop(_variable(prefix + name)) for name in ("listen", *dict(_TABLE))}
            try:
                arguments["serving"] = _settings(prefix, given)
            except SettingsError as error:
                fail(Exit.USAGE, str(error))
            return command(**arguments)

        for name, settings in reversed((("listen", listen), *_TABLE)):
            with_settings = click.option(
                f"--{prefix}{name}",
                _variable(prefix + name),
                envvar=f"CELLPLANE_TOPOLOGY_SERVER_{_variable(name).upper()}",
                # Or CELLPLANE_TOPOLOGY_CERT, which says who a command is, would be the control plane's.
                allow_from_autoenv=False,
                **settings,
            )(with_settings)
        return with_settings

    return add


def _variable(name: str) -> str:
    return name.replace("-", "_")


def _settings(prefix: str, given: dict[str, Any]) -> ServingSettings | None:
    if given["listen"] is None:
        alone = [name for name in given if name not in _WITH_DEFAULTS]
        if more := [name for name in alone if given[name]]:
            raise SettingsError(f"--{prefix}{more[0]} needs --{prefix}listen: without it nothing is served.")
        return None
    tls = TlsFiles(ca=given["client-ca"], cert=given["cert"], key=given["key"])
    tls.check_server(f"--{prefix}")
    if given["trusted-proxy"] and not tls.ca:
        raise SettingsError(f"--{prefix}trusted-proxy needs --{prefix}client-ca: who it is, TLS says.")
    return ServingSettings(
        listen=Listen.parse(given["listen"], f"--{prefix}listen"),
        rest_listen=(
            Listen.parse(given["rest-listen"], f"--{prefix}rest-listen") if given["rest-listen"] else None
        ),
        lifetimes=Lifetimes(found=given["found-ttl"], not_found=given["not-found-ttl"]),
        tls=tls,
        names=Names(
            routers=frozenset(given["router"]),
            admins=frozenset(given["admin"]),
            proxies=frozenset(given["trusted-proxy"]),
        ),
        limit=CallLimit(given["call-limit"], Mode(given["call-limit-mode"])),
        hooks=read_hooks(given["move-hooks"]) if given["move-hooks"] else {},
        option=f"--{prefix}",
    )
