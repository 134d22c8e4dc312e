"""Runbooks as tests read them: the commands in their `sh` fences, and what their output must hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "runbooks"
EXPECTED: Final = "# → "
_FENCE: Final = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ALERT_HEADINGS: Final = (
    "Meaning", "Impact", "First minute", "Diagnosis", "Mitigation", "Verify", "Escalate", "Afterwards",
    "Background",
)  # fmt: skip
PROCEDURE_HEADINGS: Final = ("Meaning", "First minute", "Steps", "Verify", "Way back", "Background")


@dataclass(frozen=True, slots=True)
class Command:
    """A line that a person types, and words that they then see; empty where nothing is promised."""

    line: str
    expected: str


def pages() -> list[str]:
    """Name the runbooks."""
    return sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")


def text_of(page: str) -> str:
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


def headings(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"^## (.+)$", text, re.MULTILINE))


def commands(text: str) -> Iterator[Command]:
    """Yield the commands in the order in which they stand."""
    for block in _FENCE.findall(text):
        lines = block.strip().splitlines()
        for line, after in zip(lines, [*lines[1:], ""], strict=True):
            if not line.startswith("#"):
                yield Command(line, after.removeprefix(EXPECTED) if after.startswith(EXPECTED) else "")


def first_minute(text: str) -> Iterator[Command]:
    """Yield the commands with which a person begins."""
    section = text.partition("## First minute")[2].partition("\n## ")[0]
    yield from commands(section)
