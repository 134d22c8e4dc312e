"""The last good View as a file: where a control plane keeps it, and what it finds there when it starts.

The recorder writes it; one that is damaged is named and never served.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cellplane.settings import SettingsError
from topology.keys import Keyspace
from topology.saved import Corrupt, load_view
from topology.view import View

log = logging.getLogger("cellplane.saved_view")


def saved_view(path: Path | None, keyspace: Keyspace) -> View | None:
    """Return the saved View; one that is damaged is named and not used."""
    if path is None:
        return None
    found = load_view(path, keyspace)
    if isinstance(found, Corrupt):
        log.error("saved_view_corrupt path=%s reason=%s; it is not used", path, found.reason)
    return found if isinstance(found, View) else None


def saved_path(state_dir: Path | None) -> Path | None:
    """Return where the last good View is saved, making the folder. Raise SettingsError where that cannot
    be.
    """
    if state_dir is None:
        return None
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--state-dir {state_dir}: {error.strerror}.") from error
    return state_dir / "view.json"
