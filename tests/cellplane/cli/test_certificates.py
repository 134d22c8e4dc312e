"""`cellplane certificates`: paths that every edge is told, never a key."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from cellplane.cli.outcome import Exit

Run = Callable[..., Result]


def test_they_are_set_shown_and_taken_back(run: Run) -> None:
    assert "--edge-cert" in run("certificates", "show").stdout
    told = ("certificates", "set", "--cert", "/etc/new.pem", "--key", "/etc/new.key")
    run(*told, "--dry-run")
    assert json.loads(run("certificates", "show", "--output", "json").stdout) is None

    run(*told, "--reason", "renewed by hand")
    shown = run("certificates", "show").stdout
    assert "Set by ada" in shown
    assert "renewed by hand" in shown
    assert "/etc/new.pem" in shown

    run("certificates", "reset", "--yes")
    assert "--edge-cert" in run("certificates", "show").stdout


def test_a_key_is_no_path(run: Run) -> None:
    told = ("certificates", "set", "--cert", "/etc/new.pem", "--key", "-----BEGIN PRIVATE KEY-----")
    assert "is no file" in run(*told, expect=Exit.REFUSED).stderr
