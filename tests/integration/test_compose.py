"""The compose example: its file keeps to what the official images have, and a Docker engine really runs
it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cellplane.demo.free_port import free_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "compose"
# What each image really carries that a health check may call.
CARRIES = {
    "quay.io/coreos/etcd:v3.5.21": {"etcdctl"},
    "prom/prometheus:v2.53.0": {"wget"},
    "envoyproxy/envoy:v1.40.0": set(),
    "cellplane:compose": {"python"},
}


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]
    return found


def test_images_are_the_official_ones() -> None:
    assert {service["image"] for service in services().values()} == set(CARRIES)


@pytest.mark.parametrize("name", sorted(services()))
def test_health_checks_call_what_the_image_has(name: str) -> None:
    service = services()[name]
    if "healthcheck" not in service:
        return
    check = service["healthcheck"]["test"]

    assert isinstance(check, list), "a string is run by a shell, which the image may lack"
    assert check[0] == "CMD", "CMD-SHELL needs a shell"
    assert check[1] in CARRIES[service["image"]]


def test_envoy_has_no_health_check_of_its_own() -> None:
    assert not [n for n, s in services().items() if "envoy" in s["image"] and "healthcheck" in s]


@pytest.mark.parametrize("name", sorted(services()))
def test_commands_are_spelt_out(name: str) -> None:
    service = services()[name]
    for key in ("command", "entrypoint"):
        if key in service:
            assert isinstance(service[key], list), (
                f"{key} of {name}: write a list, a string goes through a shell"
            )


def test_the_start_waits_for_health() -> None:
    found = services()
    for name, service in found.items():
        for other, how in dict(service.get("depends_on", {})).items():
            expected = (
                "service_healthy" if "healthcheck" in found[other] else "service_completed_successfully"
            )
            assert how == {"condition": expected}, f"{name} on {other}"


def test_the_edge_and_the_console_are_published_and_on_loopback() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]

    assert published == [
        "127.0.0.1:${CELLPLANE_CONSOLE_PORT:-18001}:18001",
        "127.0.0.1:${CELLPLANE_PORT:-8080}:8080",
    ]


def test_the_dockerfile_needs_no_buildkit_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()

    assert not re.search(r"--mount|--link|--chmod|<<|# syntax=", text)
    assert [line for line in text.splitlines() if line.startswith("FROM")][-1] == "FROM python:3.13-slim"
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert re.search(r'^  CMD \["python"', text, re.MULTILINE), "the health check is in exec form"


def test_the_bootstrap_is_what_the_command_prints() -> None:
    command = [
        shutil.which("cellplane", path=str(ROOT / ".venv" / "bin")) or "cellplane",
        "bootstrap", "--role", "edge", "--node-id", "edge",
        "--xds", "control-plane:18000", "--admin", "0.0.0.0:9901",
    ]  # fmt: skip
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    committed = (EXAMPLE / "envoy.yaml").read_text()

    assert yaml.safe_load(printed) == yaml.safe_load(committed), (
        "print it anew into examples/compose/envoy.yaml"
    )


class Compose:
    """The example, brought up under a project name of its own."""

    def __init__(self, port: int, console_port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.console = f"http://127.0.0.1:{console_port}"
        has_plugin = (
            subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        )
        tool = ["docker", "compose"] if has_plugin else ["docker-compose"]
        self._command = [*tool, "--file", str(EXAMPLE / "compose.yaml"), "--project-name", "cellplane-test"]
        self._environment = {
            **os.environ,
            "CELLPLANE_PORT": str(port),
            "CELLPLANE_CONSOLE_PORT": str(console_port),
            "CELLPLANE_BUILD_NETWORK": "host",
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_DOCKER_CLI_BUILD": "0",
        }

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def request(self, path: str = "/", **headers: str) -> tuple[int, dict[str, Any], str | None]:
        request = urllib.request.Request(  # noqa: S310  our own port
            self.url + path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
                return response.status, json.load(response), response.headers.get("x-cellplane-cell")
        except urllib.error.HTTPError as error:
            return error.code, {}, error.headers.get("x-cellplane-cell")

    def cell_of(self, path: str = "/", **headers: str) -> int | None:
        _, body, _ = self.request(path, **headers)
        found: int | None = body.get("cell")
        return found

    def until_routed(self, path: str, expected: int, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        seen: object = None
        while time.monotonic() < deadline:
            try:
                seen = self.cell_of(path)
            except (urllib.error.URLError, OSError) as error:
                seen = error
            if seen == expected:
                return
            time.sleep(0.2)
        raise AssertionError(
            f"{path} did not reach cell {expected}: {seen}\n{self('logs', '--no-color')[-4000:]}"
        )


def open_python_to_everyone() -> None:
    """See that the base image runs Python for others than root, as the official one does; mend a stand-in."""
    base = "python:3.13-slim"
    anyone = ["docker", "run", "--rm", "--user", "10001", base, "python", "-c", ""]
    if subprocess.run(anyone, capture_output=True, check=False).returncode:
        mended = f"FROM {base}\nRUN chmod go+x /root\n"
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        build = ["docker", "build", "--tag", base, "-"]
        subprocess.run(build, input=mended, text=True, env=environment, capture_output=True, check=True)
        subprocess.run(anyone, capture_output=True, check=True)


@pytest.fixture
def compose() -> Iterator[Compose]:
    open_python_to_everyone()
    compose = Compose(free_port(), free_port())
    compose("down", "--volumes", "--remove-orphans")
    try:
        compose("build", "control-plane")
        compose("up", "--detach")
        yield compose
    finally:
        compose("down", "--volumes", "--remove-orphans")


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_example_routes_claims_and_drains(compose: Compose) -> None:
    compose.until_routed("/acme/project", 3)

    assert compose.cell_of("/", Cookie="_gitlab_session=cell-2-abc") == 2
    assert {compose.cell_of("/explore") for _ in range(60)} == {1, 2, 3}
    inside = compose("exec", "-T", "control-plane", "python", "-c", EDGE_2)
    assert json.loads(inside)["cell"] == 3, "the other edge routes alike"

    with urllib.request.urlopen(compose.console + "/", timeout=5) as page:  # noqa: S310  our own port
        assert b"<title>Cellplane" in page.read()

    compose(
        "exec", "-T", "control-plane", "cellplane", "claims", "create", "--cell", "2", "ROUTES", "initech"
    )
    compose.until_routed("/initech/", 2)

    compose(
        "exec", "-T", "control-plane",
        "cellplane", "cells", "set-state", "2", "DRAINING", "--over", "0s", "--yes", "--reason", "test",
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while 2 in {compose.cell_of("/explore") for _ in range(20)}:
        assert time.monotonic() < deadline, "unowned traffic still reaches the draining cell"
    assert compose.cell_of("/", Cookie="_gitlab_session=cell-2-abc") == 2, "what it owns still lands on it"

    listed = json.loads(
        compose("exec", "-T", "control-plane", "cellplane", "cells", "list", "--output", "json")
    )
    assert {cell["id"]: cell["state"] for cell in listed["cells"]} == {
        1: "ACTIVE",
        2: "DRAINING",
        3: "ACTIVE",
    }
    assert {cell["updated_by"] for cell in listed["cells"]} <= {"compose", "cellplane@" + container(compose)}


EDGE_2 = (
    "import urllib.request as r; print(r.urlopen('http://edge-2:8080/acme/x', timeout=5).read().decode())"
)


def container(compose: Compose) -> str:
    return compose(
        "exec", "-T", "control-plane", "python", "-c", "import socket; print(socket.gethostname())"
    ).strip()
