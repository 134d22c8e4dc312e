"""What a test needs beyond PyPI: Debian tools from `deploy/apt.txt`, and a Docker engine.

A test that lacks one is skipped with the reason. With REQUIRE_TOOLS=1 a missing Debian tool is a failure:
`.ci/run` sets it, so no proof is lost in silence. An engine is never required.
"""

from __future__ import annotations

import functools
import gc
import os
import shutil
import warnings
from pathlib import Path
from typing import Final

import docker
import docker.errors
import pytest

APT: Final = Path(__file__).resolve().parent.parent / "deploy" / "apt.txt"


def debian_tools(text: str) -> dict[str, str]:
    """Return the package of each command in a text like `deploy/apt.txt`."""
    packages: dict[str, str] = {}
    for line in text.splitlines():
        package, _, commands = line.partition("#")
        if package.strip():
            packages |= dict.fromkeys(commands.split(), package.strip())
    return packages


def missing_tools(wanted: tuple[str, ...], packages: dict[str, str]) -> tuple[str, ...]:
    """Return what to install for each wanted command that is not there; refuse one of no known package."""
    if unknown := [name for name in wanted if name not in packages]:
        raise ValueError(f"deploy/apt.txt has no package for {', '.join(unknown)}")
    # Debian puts daemons where a plain user's PATH does not look.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return tuple(
        f"{name} (package {packages[name]})" for name in wanted if shutil.which(name, path=path) is None
    )


def demand_tools(wanted: tuple[str, ...], packages: dict[str, str], required: bool) -> None:
    """Skip the running test, or fail it where tools are required, when it lacks a command."""
    if missing := missing_tools(wanted, packages):
        reason = f"needs {', '.join(missing)}: make tools"
        if required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def tools_required() -> bool:
    return os.environ.get("REQUIRE_TOOLS", "") not in {"", "0"}


@functools.cache
def why_no_docker() -> str | None:
    """Say why no Docker engine can be used, or nothing when one answers."""
    with warnings.catch_warnings():
        # The client leaves its socket open when nobody answers; it is collected here and not in some test.
        warnings.simplefilter("ignore", ResourceWarning)
        reason = _ask_docker()
        gc.collect()
    return reason


def _ask_docker() -> str | None:
    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException as error:
        return f"no Docker engine answers: {error}"
    client.close()
    return None
