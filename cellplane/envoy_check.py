"""What an Envoy of this host says of a Snapshot before any other is sent it: `envoy --mode validate`.

The guard of pushes asks for its verdict, which may take a moment; when it is there, the publisher is woken
and asks again. TLS is left out: files of the edges' hosts are not here. It publishes and holds nothing.
`View -> Snapshot`, the last look.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from envoy.static import static_bootstrap
from xds.resource import CLUSTER, LISTENER, ROUTE
from xds.snapshot import Snapshot

log = logging.getLogger("cellplane.envoy_check")

PATIENCE_SECONDS: Final = 120.0
_KEPT: Final = 64
_MOST_WORDS: Final = 500


class EnvoyCheck:
    """Ask an Envoy. Without a binary everything is well; `wake` is called when a verdict has come."""

    def __init__(self, binary: Path | None, wake: Callable[[], None]) -> None:
        self._binary = binary
        self._wake = wake
        self._known: OrderedDict[tuple[int, ...], str] = OrderedDict()
        self._wanted: Snapshot | None = None
        self._news = asyncio.Event()

    def verdict(self, snapshot: Snapshot) -> str | None:
        """Give what Envoy has against a Snapshot, empty where nothing, and None while it is being asked."""
        if self._binary is None:
            return ""
        known = self._known.get(_key(snapshot))
        if known is None:
            self._wanted = snapshot
            self._news.set()
        return known

    def note_good(self, snapshot: Snapshot) -> None:
        """Take what went out for good, whatever was said of it: somebody released it, or it went before."""
        if self._binary is not None:
            self._note(snapshot, "")

    async def run(self) -> None:
        """Ask about the newest Snapshot, one at a time, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            snapshot, self._wanted = self._wanted, None
            if snapshot is None or self._binary is None or _key(snapshot) in self._known:
                continue
            words = await self._ask(self._binary, snapshot)
            if words:
                log.error("snapshot_not_valid revision=%d envoy=%s", snapshot.revision, words)
            self._note(snapshot, words)
            self._wake()

    def _note(self, snapshot: Snapshot, words: str) -> None:
        self._known[_key(snapshot)] = words
        self._known.move_to_end(_key(snapshot))
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    async def _ask(self, binary: Path, snapshot: Snapshot) -> str:
        try:
            with tempfile.NamedTemporaryFile("w", prefix="cellplane-", suffix=".json") as file:
                await asyncio.to_thread(_write, file, snapshot)
                return await self._validate(binary, file.name)
        except OSError as error:
            return f"{binary} cannot be asked: {error.strerror}"

    async def _validate(self, binary: Path, config: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(binary), "--mode", "validate", "-c", config, "--log-level", "error", "--concurrency", "1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                output = (await process.communicate())[0].decode(errors="replace")
        except TimeoutError:
            return f"{binary} did not come to an end within {PATIENCE_SECONDS:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return "" if process.returncode == 0 else refusal(output)


def refusal(output: str) -> str:
    """Give Envoy's own words of why it refuses a configuration."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = next(
        (line for line in reversed(lines) if "error initializing" in line), lines[-1] if lines else ""
    )
    _, _, words = told.rpartition("': ")
    return (words or told or "it ended without a word")[-_MOST_WORDS:]


def without_files(value: Any) -> Any:
    """Leave out TLS towards clients and cells: its files are on the edges' hosts, and not here."""
    if isinstance(value, dict):
        return {
            name: without_files(each)
            for name, each in value.items()
            if name not in {"transport_socket", "secrets"}
        }
    return [without_files(each) for each in value] if isinstance(value, list) else value


def _write(file: IO[str], snapshot: Snapshot) -> None:
    json.dump(without_files(static_bootstrap(snapshot)), file)
    file.flush()


def _key(snapshot: Snapshot) -> tuple[int, ...]:
    return tuple(snapshot.digest(kind) for kind in (CLUSTER, LISTENER, ROUTE))
