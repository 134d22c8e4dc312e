"""The entry point looks at its environment before it imports what needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cellplane import __main__, environment
from cellplane.environment import Fault


def test_the_module_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cellplane", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("cellplane, version ")
    assert done.stderr == ""


def test_a_faulty_environment_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "faults", lambda: (Fault("pb/ is stale", "make it anew"),))

    with pytest.raises(SystemExit, match="1"):
        __main__.main()

    assert capsys.readouterr().err == "cellplane cannot start: pb/ is stale: make it anew.\n"
