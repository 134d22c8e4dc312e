"""Options that say what a long-running command logs and how, shared by all that run long."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cellplane.settings import LogSettings

T = TypeVar("T")

_LEVELS = click.Choice(["debug", "info", "warning", "error"])
_FORMATS = click.Choice(["text", "json"])


def log_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add --log-level and --log-format; the command receives them as one argument `log`."""

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> T:
        log = LogSettings(level=arguments.pop("log_level"), format=arguments.pop("log_format"))
        return command(log=log, **arguments)

    for option in (
        click.option(
            "--log-format",
            type=_FORMATS,
            default="text",
            show_default=True,
            envvar="CELLPLANE_LOG_FORMAT",
            help="A line per event: text for people, an object for machines.",
        ),
        click.option(
            "--log-level",
            type=_LEVELS,
            default="info",
            show_default=True,
            envvar="CELLPLANE_LOG_LEVEL",
            help="From which level on. SIGUSR1 turns debug on, and off again.",
        ),
    ):
        with_settings = option(with_settings)
    return with_settings
