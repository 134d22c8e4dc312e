"""What others build on is in one place, is used by the example, and is explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from xds import library

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_control_plane" / "own_control_plane.py"
GUIDE = ROOT / "docs" / "xds-library.md"


def test_all_of_it_is_there_and_listed_once() -> None:
    assert len(library.__all__) == len(set(library.__all__))
    imported = {name for name in vars(library) if not name.startswith("_")}
    assert imported == set(library.__all__)


def test_the_example_needs_nothing_else_of_the_package() -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    modules = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "xds"
        for alias in node.names
    }
    assert modules == {"xds.library"}


async def test_the_guide_can_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    told: dict[str, Any] = {}
    exec(compile(block, str(GUIDE), "exec"), told)  # noqa: S102  it is our own guide
    started: list[str] = []
    published: list[tuple[str, library.Snapshot]] = []

    async def start(_: library.AdsServer, address: str) -> int:
        started.append(address)
        return 0

    def publish(_: library.Cache, group: str, snapshot: library.Snapshot) -> library.Published:
        published.append((group, snapshot))
        return library.Published({})

    monkeypatch.setattr(library.AdsServer, "start", start)
    monkeypatch.setattr(library.Cache, "publish", publish)
    await told["serve"](b"\n\x01a", b"\n\x01a")
    assert started == ["127.0.0.1:18000"]
    ((group, snapshot),) = published
    assert (group, snapshot.problems()) == ("everyone", ())
    assert list(snapshot.of_type(library.CLUSTER)) == ["a"]


def test_the_guide_names_what_matters() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for name in ("Resource", "Cache", "Snapshot", "AdsServer", "ServerOptions", "Witness", "XdsError"):
        assert name in library.__all__
        assert re.search(rf"\b{name}s?\b", text), f"{GUIDE.name} does not speak of {name}"
