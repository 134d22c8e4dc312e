"""A real Prometheus for tests: it scrapes what a test runs, under the rules of `deploy/prometheus`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from cellplane.demo.free_port import free_port
from tests.processes import Child

RULES: Final = Path(__file__).resolve().parent.parent / "deploy" / "prometheus"
INTERVAL: Final = "1s"


class PrometheusServer:
    """One Prometheus. `jobs` names the addresses to scrape, each with the path of its metrics."""

    def __init__(self, folder: Path, jobs: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        scrapes = [
            {"job_name": name, "metrics_path": path, "static_configs": [{"targets": list(targets)}]}
            for name, (path, targets) in jobs.items()
        ]
        config = {
            "global": {
                "scrape_interval": INTERVAL,
                "scrape_timeout": INTERVAL,
                "evaluation_interval": INTERVAL,
            },
            "rule_files": [str(RULES / "recording.yaml"), str(RULES / "alerts.yaml")],
            "scrape_configs": scrapes,
        }
        path = folder / "prometheus.json"
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        self._child = Child(
            [
                "prometheus",
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            folder / "prometheus.log",
        )

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._child.spawn()
        await self._child.ready(self._answers)

    async def stop(self) -> None:
        await self._child.stop()

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Give the series of an expression, of now; fail with Prometheus's words where it is none."""
        answer = await self._get("query", {"query": expression})
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        found = answer["data"]["result"]
        return list(found) if answer["data"]["resultType"] == "vector" else [{"value": found}]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def alert(self, name: str) -> dict[str, Any]:
        """Give an alert that fires or is about to; nothing where it is quiet."""
        found = (await self._get("alerts", {}))["data"]["alerts"]
        return next((each for each in found if each["labels"]["alertname"] == name), {})

    async def firing(self) -> set[str]:
        """Name the alerts that fire or are about to."""
        return {each["labels"]["alertname"] for each in (await self._get("alerts", {}))["data"]["alerts"]}

    async def _get(self, page: str, query: Mapping[str, str]) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{page}"
        async with aiohttp.ClientSession() as session, session.get(url, params=query) as response:
            return dict(await response.json())

    async def _answers(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.url}/-/ready") as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False
