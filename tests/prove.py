"""`make prove`: run long proofs at full size, go on where an interrupted one stopped, keep a line of each.

A proof is a module of `tests/proofs/` with `async def prove(steps: Steps)`. What a finished step found
is kept in `.proofs/` until the proof is through, for this state of the code. The result: `docs/proofs.md`.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent
HEADER = """# Proofs

What was proven at full size, by `make prove`: one line for each run, the latest last.
Each proof is a module of `tests/proofs/`, and its docstring says what it claims.

```json
"""

Json = Any


class Proof(Protocol):
    """A module of `tests/proofs/`."""

    async def prove(self, steps: Steps) -> Mapping[str, Json]: ...


class Steps:
    """The steps of one proof: each runs once, also when the run is interrupted and started again."""

    def __init__(self, path: Path, commit: str) -> None:
        self._path = path
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        # What another version of the code did proves nothing about this one.
        self._found: dict[str, Json] = kept["found"] if kept.get("commit") == commit else {}
        self._commit = commit

    async def step(self, name: str, run: Callable[[], Awaitable[Json]]) -> Json:
        """Return what the step finds: remembered from the interrupted run, or found now."""
        if name not in self._found:
            began = time.monotonic()
            found = await run()
            self._found[name] = found
            self._save()
            print(f"  {name}: {found} ({time.monotonic() - began:.1f} s)", flush=True)
        return self._found[name]

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"commit": self._commit, "found": self._found}), encoding="utf-8")
        fresh.replace(self._path)


async def run_proof(name: str, proof: Proof, root: Path, commit: str) -> bool:
    """Run one proof, write its line, and tell whether it held."""
    print(f"{name}:", flush=True)
    steps = Steps(root / ".proofs" / f"{name}.json", commit)
    began = time.monotonic()
    try:
        outcome: Mapping[str, Json] = {"held": True, **await proof.prove(steps)}
    except AssertionError as error:
        outcome = {"held": False, "why": str(error)}
    steps.forget()
    line = {
        "proof": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "seconds": round(time.monotonic() - began, 1),
        **outcome,
    }
    record(root / "docs" / "proofs.md", line)
    print(json.dumps(line), flush=True)
    return bool(outcome["held"])


def record(page: Path, line: Mapping[str, Json]) -> None:
    """Append one line to the page of proofs."""
    if not page.exists():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(HEADER, encoding="utf-8")
    with page.open("a", encoding="utf-8") as text:
        text.write(json.dumps(line) + "\n")


def current_commit(root: Path) -> str:
    """Return the commit that is checked out, with a mark of what differs from it; `unknown` outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changes = git("diff", "HEAD", "--", ".", ":!docs/proofs.md")
        mark = f"+{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else ""
        return git("rev-parse", "--short=12", "HEAD") + mark
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def proof_names(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "tests" / "proofs").glob("[!_]*.py"))


def main(arguments: Sequence[str]) -> int:
    """Run the proofs that are named, or all."""
    known = proof_names(ROOT)
    if unknown := [name for name in arguments if name not in known]:
        print(f"there is no proof called {', '.join(unknown)}; there are: {', '.join(known) or 'none yet'}")
        return 2
    commit = current_commit(ROOT)
    held = [
        asyncio.run(run_proof(name, importlib.import_module(f"tests.proofs.{name}"), ROOT, commit))
        for name in arguments or known
    ]
    print(f"{sum(held)} of {len(held)} proofs held")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
