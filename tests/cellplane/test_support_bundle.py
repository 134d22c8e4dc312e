"""What is handed to whoever helps, and what is not."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from cellplane.support_bundle import REDACTED, about_us, redacted, write_bundle

SECRET = "hunter2"


def test_nothing_secret_gets_in(tmp_path: Path) -> None:
    environment = {
        "CELLPLANE_ETCD_PASSWORD": SECRET,
        "CELLPLANE_CLAIM_STORE": f"postgresql://cellplane:{SECRET}@db/claims",
        "CELLPLANE_ETCD": "etcd:2379",
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    view = {"quarantined": [{"key": "/a", "raw": SECRET, "reason": "is no JSON"}], "auth": {"token": SECRET}}
    path = tmp_path / "bundle.tar.gz"
    write_bundle(path, {"about.json": about_us(environment), "view.json": view, "metrics.txt": "up 1\n"})
    with tarfile.open(path) as archive:
        contents = {
            member.name: (archive.extractfile(member) or pytest.fail("no file")).read().decode()
            for member in archive.getmembers()
        }
    assert set(contents) == {"bundle/about.json", "bundle/view.json", "bundle/metrics.txt"}
    assert SECRET not in "".join(contents.values())
    variables = json.loads(contents["bundle/about.json"])["variables"]
    assert variables == {
        "CELLPLANE_CLAIM_STORE": f"postgresql://{REDACTED}@db/claims",
        "CELLPLANE_ETCD": "etcd:2379",
        "CELLPLANE_ETCD_PASSWORD": REDACTED,
    }
    assert json.loads(contents["bundle/view.json"])["quarantined"][0]["reason"] == "is no JSON"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_bundle(path, {})
    assert path.read_text() == "mine"


def test_what_is_no_secret_stays() -> None:
    value = {"token_count": 3, "password": "", "lines": ["http://a/b", 1, None, True], "secret": ["a"]}
    assert redacted(value) == {
        "token_count": 3,
        "password": "",
        "lines": ["http://a/b", 1, None, True],
        "secret": [REDACTED],
    }
