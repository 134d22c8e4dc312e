"""A program under valgrind's callgrind: started without counting, then counted for as long as one likes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tests.processes import Child


@dataclass(frozen=True, slots=True)
class Counts:
    """What the busiest thread did, but for the first: in Envoy that one answers nobody."""

    instructions: int
    misses: tuple[int, ...]
    """Of the first and the second cache, if these were simulated."""
    file: Path


class Callgrind:
    """One program. `folder` is where the counts go.

    With `cache`, the kilobytes of a processor's second cache, it and a first one are simulated.
    """

    def __init__(self, command: Sequence[str], folder: Path, *, cache: int = 0) -> None:
        folder.mkdir()
        self._folder = folder
        self._dumps = 0
        valgrind = [
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            "--separate-threads=yes",
            *(("--cache-sim=yes", f"--LL={cache * 1024},8,64") if cache else ()),
            f"--callgrind-out-file={folder}/counts",
        ]
        self._child = Child([*valgrind, *command], folder / "log")

    async def start(self, answers: Callable[[], Awaitable[bool]], within: float) -> None:
        """Start it, and wait until it answers."""
        self._child.spawn()
        await self._child.ready(answers, within)

    async def stop(self) -> None:
        await self._child.stop()

    async def begin(self) -> None:
        """Begin to count."""
        await self._control("--instr=on")

    async def end(self) -> None:
        """Count no longer, and be quicker."""
        await self._control("--instr=off")

    async def zero(self) -> None:
        """Forget what was counted so far."""
        await self._control("--zero")

    async def dump(self) -> Counts:
        """Give what was counted since, and begin anew."""
        await self._control("--dump")
        self._dumps += 1
        files = self._folder.glob(f"counts.{self._dumps}-*")
        return max(
            (_read(each) for each in files if not each.name.endswith("-01")), key=lambda c: c.instructions
        )

    async def _control(self, order: str) -> None:
        program = shutil.which("callgrind_control")
        if program is None:
            raise SystemExit("callgrind_control is missing: install Debian's valgrind")
        process = await asyncio.create_subprocess_exec(
            program,
            order,
            str(self._child.pid),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        if process.returncode or "OK" not in said:
            raise RuntimeError(f"callgrind did not do {order}: {said}\n{self._child.log_tail()}")


def _read(file: Path) -> Counts:
    found: dict[str, list[str]] = {}
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            name, colon, rest = line.partition(":")
            if colon and name in {"events", "summary"}:
                found[name] = rest.split()
    counts = map(int, found["summary"])  # without the zeros at its end
    by_event = dict(zip_longest(found["events"], counts, fillvalue=0))
    misses = tuple(
        sum(by_event[name] for name in names)
        for names in (("I1mr", "D1mr", "D1mw"), ("ILmr", "DLmr", "DLmw"))
        if names[0] in by_event
    )
    return Counts(by_event["Ir"], misses, file)
