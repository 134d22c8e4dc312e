"""Where the last good View is kept, and what is found there."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellplane.saved_view import saved_path, saved_view
from cellplane.settings import SettingsError
from tests.cellplane.views import cell, view
from topology.keys import Keyspace
from topology.saved import save_view


def test_without_a_folder_nothing_is_kept() -> None:
    assert saved_path(None) is None
    assert saved_view(None, Keyspace()) is None


def test_what_was_saved_is_found_and_what_is_damaged_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved_path(tmp_path / "a" / "b")
    assert path is not None
    assert saved_view(path, Keyspace()) is None
    save_view(path, view(7, [cell(1)]))
    found = saved_view(path, Keyspace())
    assert found is not None
    assert (found.revision, found.stale) == (7, True)
    path.write_text("{")
    assert saved_view(path, Keyspace()) is None
    assert "saved_view_corrupt" in caplog.text


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="--state-dir"):
        saved_path(tmp_path / "file" / "below")
