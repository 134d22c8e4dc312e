"""A real Envoy for tests: started with a bootstrap, asked through its admin interface, stopped with the test.

The fixture `envoy` starts any number of them; `validate_envoy` asks the same program about a bootstrap.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.processes import Child, eventually

ENVOY: Final = Path(__file__).resolve().parent.parent / ".tools" / "envoy" / "bin" / "envoy"
# Envoy says so wherever routes tell a local limit what to count, as `envoy/steered.py` has them do.
_ROUTES_DESCRIBE: Final = "'descriptors' is set but only used by route configuration"
Bootstrap = Mapping[str, Any]


def envoy_path() -> Path:
    """Return the program that `make envoy` installed, or the one that ENVOY names."""
    path = Path(os.environ.get("ENVOY", ENVOY))
    if not path.exists():
        raise AssertionError(f"there is no Envoy at {path}: run make envoy")
    return path


class EnvoyProcess:
    """One Envoy with one worker. A bootstrap without an admin address gets one on a port that Envoy picks."""

    def __init__(self, bootstrap: Bootstrap, folder: Path, log_level: str = "warning") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._address = folder / "admin-address"
        self._config = folder / "bootstrap.json"
        self._config.write_text(json.dumps(_with_admin(bootstrap)), encoding="utf-8")
        command = [
            str(envoy_path()),
            *("--config-path", str(self._config)),
            *("--admin-address-path", str(self._address)),
            *("--log-level", log_level),
            *("--concurrency", "1"),
            "--disable-hot-restart",
        ]
        self._child = Child(command, folder / "envoy.log")

    @property
    def running(self) -> bool:
        return self._child.running

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def admin_url(self) -> str:
        return f"http://{self._address.read_text(encoding='utf-8').strip()}"

    async def start(self, wait_ready: bool = True) -> None:
        """Start it and wait until it serves: listeners are up and the first configuration over xDS has come.

        With `wait_ready` false wait for its admin interface only.
        """
        self._address.unlink(missing_ok=True)
        self._child.spawn()
        await self._child.ready(lambda: self._answers(200 if wait_ready else None))

    async def ready(self, within: float = 10.0) -> None:
        """Wait until it serves."""
        await self._child.ready(lambda: self._answers(200), within)

    async def stop(self) -> None:
        await self._child.stop()

    async def kill(self) -> None:
        await self._child.kill()

    def log_tail(self) -> str:
        return self._child.log_tail()

    def warnings(self) -> list[str]:
        """Give what Envoy has to say about its configuration, but for what we do on purpose."""
        lines = self._child.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if "[warning]" in line and _ROUTES_DESCRIBE not in line]

    async def admin(self, path: str, method: str = "GET") -> str:
        """Ask the admin interface, for example `/clusters?format=json`."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.request(method, self.admin_url + path) as response,
        ):
            text = await response.text()
            if response.status != 200:
                raise AssertionError(f"{method} {path} gave {response.status}: {text}")
            return text

    async def stats(self, pattern: str = "") -> dict[str, int]:
        """Return counters and gauges whose names match the regular expression."""
        text = await self.admin(f"/stats?format=json&filter={pattern}")
        return {entry["name"]: entry["value"] for entry in json.loads(text)["stats"] if "value" in entry}

    async def stat(self, name: str) -> int:
        """Return one counter or gauge; 0 when Envoy has not counted it yet."""
        return (await self.stats(f"^{name.replace('.', '[.]')}$")).get(name, 0)

    async def config_dump(self, resource: str = "") -> dict[str, Any]:
        """Return its configuration, endpoints included, or one part, like `dynamic_active_clusters`."""
        query = f"?resource={resource}" if resource else "?include_eds"
        dump: dict[str, Any] = json.loads(await self.admin(f"/config_dump{query}"))
        return dump

    async def clusters(self) -> dict[str, dict[str, Any]]:
        """Return the clusters with the state of their hosts, by name."""
        found = json.loads(await self.admin("/clusters?format=json")).get("cluster_statuses", [])
        return {cluster["name"]: cluster for cluster in found}

    async def never_fell_back(self) -> None:
        """Fail if a cluster that warmed did without the endpoints that were due, which costs Envoy 15 s."""
        if self.running:
            await never_fell_back(self.admin_url)

    async def until_stat(self, name: str, at_least: int, within: float = 10.0) -> None:
        """Wait until a counter or gauge has come this far."""

        async def enough() -> bool:
            return await self.stat(name) >= at_least

        await eventually(enough, f"{name} >= {at_least}", within)

    async def _answers(self, status: int | None) -> bool:
        if not self._address.exists() or not self._address.read_text(encoding="utf-8").strip():
            return False
        timeout = aiohttp.ClientTimeout(total=1)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.admin_url}/ready") as response,
            ):
                return status is None or response.status == status
        except (aiohttp.ClientError, TimeoutError):
            return False


async def never_fell_back(admin_url: str) -> None:
    """Fail if the Envoy behind this admin interface had to use endpoints that it remembered."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
        session.get(f"{admin_url}/stats?format=json&filter=assignment_use_cached") as response,
    ):
        counters = [one for one in (await response.json(content_type=None))["stats"] if "name" in one]
    late = [one["name"] for one in counters if one["value"]]
    assert not late, f"endpoints came too late: {', '.join(late)}"


async def validate_envoy(bootstrap: Bootstrap, folder: Path) -> None:
    """Fail with Envoy's words when `envoy --mode validate` refuses the bootstrap."""
    config = folder / "validate.json"
    config.write_text(json.dumps(bootstrap), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        str(envoy_path()),
        *("--mode", "validate", "--log-level", "error", "--config-path", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise AssertionError(f"Envoy refuses the bootstrap: {output.decode(errors='replace').strip()}")


def _with_admin(bootstrap: Bootstrap) -> Bootstrap:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    return {"admin": {"address": address}, **bootstrap}
