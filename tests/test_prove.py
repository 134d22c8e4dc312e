"""The runner of proofs: steps run once, an interrupted run goes on, each run leaves its line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import prove
from tests.prove import Json, Steps, run_proof


class Counting:
    """A proof of two steps that is interrupted, or fails, in the second."""

    def __init__(self, fate: BaseException | None = None) -> None:
        self.fate = fate
        self.calls: list[str] = []

    async def prove(self, steps: Steps) -> Mapping[str, Json]:
        first = await steps.step("first", self.first)
        second = await steps.step("second", self.second)
        return {"sum": first + second}

    async def first(self) -> int:
        self.calls.append("first")
        return 1

    async def second(self) -> int:
        self.calls.append("second")
        if self.fate:
            raise self.fate
        return 2


def lines(root: Path) -> list[dict[str, Json]]:
    text = (root / "docs" / "proofs.md").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_a_proof_that_holds_leaves_its_figures(tmp_path: Path) -> None:
    assert await run_proof("sums", Counting(), tmp_path, "abc")
    (line,) = lines(tmp_path)
    assert (line["proof"], line["commit"], line["held"], line["sum"]) == ("sums", "abc", True, 3)
    assert not (tmp_path / ".proofs" / "sums.json").exists()


async def test_a_proof_that_fails_says_why(tmp_path: Path) -> None:
    assert not await run_proof("sums", Counting(AssertionError("2 requests failed")), tmp_path, "abc")
    (line,) = lines(tmp_path)
    assert (line["held"], line["why"]) == (False, "2 requests failed")


async def test_an_interrupted_proof_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        await run_proof("sums", Counting(KeyboardInterrupt()), tmp_path, "abc")
    again = Counting()
    assert await run_proof("sums", again, tmp_path, "abc")
    assert again.calls == ["second"]
    assert [line["sum"] for line in lines(tmp_path)] == [3]


async def test_what_another_commit_found_does_not_count(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        await run_proof("sums", Counting(KeyboardInterrupt()), tmp_path, "abc")
    again = Counting()
    assert await run_proof("sums", again, tmp_path, "def")
    assert again.calls == ["first", "second"]


def test_an_unknown_proof_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["no_such_proof"]) == 2
    assert "there is no proof called no_such_proof" in capsys.readouterr().out


def test_a_state_of_the_code_has_a_name(tmp_path: Path) -> None:
    assert prove.current_commit(tmp_path) == "unknown"

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    file = tmp_path / "a"
    file.write_text("1")
    git("init")
    git("add", "a")
    git("commit", "-m", "a")
    clean = prove.current_commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", clean)
    file.write_text("2")
    once = prove.current_commit(tmp_path)
    file.write_text("3")
    twice = prove.current_commit(tmp_path)
    assert re.fullmatch(clean + r"\+[0-9a-f]{8}", once)
    assert once != twice
