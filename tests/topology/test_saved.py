from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.topology.samples import CELL_4, STAMP, cell, record, retired
from topology.codec import encode
from topology.keys import Keyspace
from topology.model import CellState, Departure, Document
from topology.saved import Corrupt, Missing, load_view, save_view
from topology.store import Listing
from topology.view import EMPTY, View, from_listing

SPACE = Keyspace()
RULES = Document(kind="rules", name="current", body={"rules": [{"a": 1.5, "ä": "\ud800"}]}, stamp=STAMP)
GONE = Departure(owner="ORGANIZATION/42", from_cell=4, to_cell=10, epoch=2, stamp=STAMP)
LISTING = Listing(
    77,
    (
        record("/cellplane/v1/cells/4", encode(CELL_4), 10),
        *(
            record(f"/cellplane/v1/cells/{number}", encode(cell(number, state)), 20 + number)
            for number, state in enumerate(CellState, start=10)
        ),
        record("/cellplane/v1/cells/5", encode(cell(5, session_prefix="cell-4")), 30, 29),
        record("/cellplane/v1/cells/6", b"\xff\x00garbage", 31),
        record("/cellplane/v1/departed/ORGANIZATION/42", encode(GONE), 40),
        record("/cellplane/v1/generations/00042", b"{}", 41),
        record("/cellplane/v1/registry", b"{}", 32),
        record("/cellplane/v1/retired/3", encode(retired(3)), 33),
        record("/cellplane/v1/rules/current", encode(RULES), 34),
        record("/cellplane/v1/what", b"?", 35),
    ),
)
VIEW = from_listing(LISTING, SPACE)
QUARANTINED = {
    "key": "/cellplane/v1/what",
    "kind": "unknown_key",
    "reason": "",
    "create_revision": 1,
    "mod_revision": 1,
    "raw": "",
    "record": "",
}


def test_a_view_survives_and_is_stale(tmp_path: Path) -> None:
    assert len(VIEW.quarantined) == 3
    save_view(tmp_path / "view.json", VIEW)
    loaded = load_view(tmp_path / "view.json", SPACE)
    assert loaded == replace(VIEW, stale=True)
    assert isinstance(loaded, View)
    assert list(loaded.cells) == list(VIEW.cells)
    assert loaded.departed == {"ORGANIZATION/42": GONE}
    assert loaded.generations == {42: 41}
    # The store confirms it, and what serves is the very same.
    confirmed = from_listing(LISTING, SPACE, loaded)
    assert confirmed == VIEW
    assert all(confirmed.cells[cell_id] is loaded.cells[cell_id] for cell_id in loaded.cells)


def test_the_same_view_is_the_same_file(tmp_path: Path) -> None:
    save_view(tmp_path / "a", VIEW)
    save_view(tmp_path / "b", from_listing(LISTING, SPACE))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_view_survives(tmp_path: Path) -> None:
    save_view(tmp_path / "view.json", EMPTY)
    assert load_view(tmp_path / "view.json", SPACE) == replace(EMPTY, stale=True)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert load_view(tmp_path / "view.json", SPACE) == Missing()


def reason(path: Path) -> str:
    found = load_view(path, SPACE)
    assert isinstance(found, Corrupt)
    return found.reason


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "view.json"
    save_view(path, VIEW)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 0x15,)) + whole[at + 1 :])
        assert reason(path)
        path.write_bytes(whole[:at])
        assert reason(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("{}", "format: is missing"),
        ("[]", "no JSON object"),
        ('{"format": 2}', "is not of format 1"),
        ('{"format": 1, "sha256": "", "view": {}}', "checksum does not fit"),
    ],
)
def test_what_is_no_view_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "view.json").write_text(text, encoding="utf-8")
    assert words in reason(tmp_path / "view.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prefix": "/other"}, "is of the keys below /other"),
        ({"revision": "5"}, "revision: is no whole number"),
        ({"records": {"/cellplane/v1/cells/4": "{}"}}, "cells/4: schema: is missing"),
        ({"records": {"/cellplane/v1/what": "{}"}}, "what: is no record"),
        ({"records": {"/cellplane/v1/cells/4": 4}}, "cells/4: is no record"),
        ({"quarantined": [{"key": "/x"}]}, "is missing"),
        ({"quarantined": [QUARANTINED | {"raw": "?"}]}, "no base64"),
        ({"quarantined": [QUARANTINED | {"kind": "odd"}]}, "is nothing that this version keeps out"),
        ({"mod_revisions": {"/x": "y"}}, "mod_revisions"),
    ],
)
def test_a_file_with_a_good_checksum_may_still_be_wrong(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = tmp_path / "view.json"
    save_view(path, VIEW)
    saved = json.loads(path.read_text(encoding="utf-8"))
    saved["view"] |= changes
    exact = json.dumps(saved["view"], sort_keys=True, separators=(",", ":")).encode()
    saved["sha256"] = hashlib.sha256(exact).hexdigest()
    path.write_text(json.dumps(saved), encoding="utf-8")
    assert words in reason(path)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "view.json").mkdir()
    assert "can't be read" in reason(tmp_path / "view.json")


def test_a_failed_write_leaves_the_last_view_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "view.json"
    save_view(path, VIEW)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_view(path, EMPTY)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_view(tmp_path / "nowhere" / "view.json", VIEW)
