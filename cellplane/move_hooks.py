"""Which part of the application is called at which step of a move: a file that the service reads at its
start.

The operator of the service writes it, never whoever starts a move: commands run with the service's rights.
It calls nothing. Third road: what must be true before a `Txn` is planned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from cellplane.cell_input import InputError, seconds
from cellplane.settings import SettingsError
from cellplane.yaml_text import parse_yaml
from topology.moves.model import Step
from topology.moves.steps import STEPS

DEFAULT_TIMEOUT: Final = 30
_NAMES: Final = {row.step.value.lower().replace("_", "-"): row.step for row in STEPS}
_FIELDS: Final = frozenset({"url", "command", "timeout", "token-file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """What is called: a URL or a command, and how long its answer is waited for."""

    url: str = ""
    command: tuple[str, ...] = ()
    timeout_seconds: int = DEFAULT_TIMEOUT
    token_file: Path | None = None

    def __str__(self) -> str:
        """Name it, without what in a URL or an argument may be a secret."""
        if not self.url:
            return f"run {self.command[0]}"
        parts = urlsplit(self.url)
        return f"POST {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def read_hooks(file: Path) -> Mapping[Step, Hook]:
    """Read a file. Raise SettingsError with everything that is wrong in it."""
    try:
        body, _ = parse_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--move-hooks {file}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"--move-hooks {file} is no YAML: {error}.") from error
    if not isinstance(body, dict) or set(body) != {"schema", "hooks"} or body["schema"] != 1:
        raise SettingsError(f"--move-hooks {file}: must hold `schema: 1` and `hooks:`, and nothing else.")
    if not isinstance(body["hooks"], dict):
        raise SettingsError(f"--move-hooks {file}: hooks: must name steps, of {', '.join(_NAMES)}.")
    problems: list[str] = []
    hooks: dict[Step, Hook] = {}
    for name, wanted in body["hooks"].items():
        if name not in _NAMES:
            problems.append(f"hooks.{name} is no step: use one of {', '.join(_NAMES)}")
            continue
        found = _hook(wanted)
        if isinstance(found, str):
            problems.append(f"hooks.{name}{found}")
        else:
            hooks[_NAMES[name]] = found
    if problems:
        raise SettingsError(f"--move-hooks {file}: {'; '.join(problems)}.")
    return MappingProxyType(hooks)


def _hook(wanted: Any) -> Hook | str:
    """Read one, or say what is wrong with it."""
    if not isinstance(wanted, dict) or not set(wanted) <= _FIELDS:
        return f": write url or command, and timeout or token-file beside it ({wanted!r})"
    url, command, token = (wanted.get(name) for name in ("url", "command", "token-file"))
    try:
        timeout = seconds(str(wanted.get("timeout", DEFAULT_TIMEOUT)))
    except InputError as error:
        return f".timeout: {error}".rstrip(".")
    faults = (
        ((url is None) == (command is None), ": needs either url or command"),
        (url is not None and not _is_http(url), f".url: {url!r} is no URL: write https://host/path"),
        (
            command is not None and not _is_command(command),
            f".command: {command!r} must be a list: a program by its whole path, and its arguments",
        ),
        (
            token is not None and (url is None or not Path(str(token)).is_file()),
            f".token-file: there is no file {token}, or no url that it would be for",
        ),
        (
            token is not None and _is_http(url) and "@" in urlsplit(str(url)).netloc,
            ": a user in the url and a token-file are two ways to say who asks: use one",
        ),
        (not 1 <= timeout <= 3600, f".timeout: {timeout} s is out of range: use 1s to 1h"),
    )
    if fault := next((words for wrong, words in faults if wrong), None):
        return fault
    return Hook(
        url=url or "",
        command=tuple(command or ()),
        timeout_seconds=timeout,
        token_file=None if token is None else Path(str(token)),
    )


def _is_http(url: Any) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_command(command: Any) -> bool:
    return (
        isinstance(command, list)
        and bool(command)
        and all(isinstance(word, str) for word in command)
        and Path(command[0]).is_absolute()
    )
