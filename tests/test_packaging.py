"""The wheel, as a stranger gets it: it holds all of `pb`, and every module of it imports from any folder.

It is installed with the oldest dependencies that it allows; the other tests run with the newest.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A file that both register is refused by the descriptor pool in one order or in both.
IMPORT_ALL = """
import importlib, pathlib, sys
import pb
folder = pathlib.Path(pb.__file__).parent
assert "site-packages" in str(folder), folder
ours = [
    ".".join(("pb", *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(folder.rglob("*.py"))
]
others = [
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
    "grpc_status.rpc_status", "grpc_health.v1.health", "grpc_reflection.v1alpha.reflection",
]
for name in [*ours, *others] if sys.argv[1] == "ours-first" else [*others, *ours]:
    importlib.import_module(name)

from google.protobuf import descriptor_pool
pool = descriptor_pool.Default()
assert pool.FindFileByName("envoy/config/cluster/v3/cluster.proto").package == "envoy.config.cluster.v3"
assert pool.FindMessageTypeByName("etcdserverpb.TxnRequest").file.name == "etcdserverpb/rpc.proto"
from pb.envoy.config.cluster.v3 import cluster_pb2
assert cluster_pb2.Cluster.__module__ == "pb.envoy.config.cluster.v3.cluster_pb2"
import topology, xds, envoy, cellplane
print(len(ours))
"""

# The help of the command names them all and imports none.
IMPORT_COMMANDS = """
import click
from cellplane.cli.root import cellplane
context = click.Context(cellplane)
print(*(cellplane.get_command(context, name).name for name in cellplane.list_commands(context)))
"""

# Whichever test comes first builds and installs, on a busy machine too.
pytestmark = pytest.mark.timeout(600)

PIP = (sys.executable, "-m", "pip", "--quiet")


def run(*command: str | Path, cwd: Path, python_path: str = "", succeeds: bool = True) -> str:
    """Run a command as a stranger would: away from the repository, without our environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={
            **environment,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "0",  # of an option that says no, 0 is yes: what is imported compiles itself
            "PYTHONPATH": python_path,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is succeeds, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout if succeeds else done.stderr


def oldest_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = (re.match(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in project["dependencies"])
    oldest = [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]
    assert len(oldest) == len(project["dependencies"]), "each dependency has a lower bound"
    return oldest


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the wheel and an environment that has it and the OTLP exporter.

    Workers that run side by side share it, for to build it takes most of a minute: the first makes it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "packaging"
    with (shared / "packaging.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            (folder / "done").touch()
    return folder


def build(folder: Path) -> None:
    folder.mkdir()
    run(*PIP, "wheel", "--no-deps", f"--wheel-dir={folder}", ROOT, cwd=folder)
    venv.create(folder / "env", with_pip=False)
    constraints = folder / "oldest.txt"
    constraints.write_text("\n".join(oldest_dependencies()), encoding="utf-8")
    python = folder / "env" / "bin" / "python"
    install = ("--python", python, "install", f"--constraint={constraints}", the_wheel(folder))
    run(*PIP, *install, "opentelemetry-exporter-otlp-proto-grpc", cwd=folder)


def the_wheel(folder: Path) -> Path:
    (found,) = folder.glob("cellplane-*.whl")
    return found


@pytest.fixture
def wheel(built: Path) -> Path:
    return the_wheel(built)


@pytest.fixture
def scripts(built: Path) -> Path:
    """Give the folder of programs of the environment that has the wheel."""
    return built / "env" / "bin"


def in_pb(wheel: Path) -> list[str]:
    return [
        name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("pb/") and name.endswith(".py")
    ]


def test_the_wheel_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {"topology", "xds", "envoy", "cellplane", "pb"}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == packages
    assert {f"{package}/{file}" for package in packages for file in ("__init__.py", "py.typed")} <= set(names)
    assert "pb/envoy/service/discovery/v3/ads_pb2_grpc.pyi" in names
    assert len(in_pb(wheel)) > 1000


@pytest.mark.parametrize("order", ["ours-first", "others-first"])
def test_every_module_of_pb_imports_beside_the_others(
    wheel: Path, scripts: Path, tmp_path: Path, order: str
) -> None:
    assert int(run(scripts / "python", "-I", "-c", IMPORT_ALL, order, cwd=tmp_path)) == len(in_pb(wheel))


def test_the_command_runs(scripts: Path, tmp_path: Path) -> None:
    assert "usage" in run(scripts / "cellplane", "--help", cwd=tmp_path).lower()
    assert "zones" in run(scripts / "python", "-I", "-c", IMPORT_COMMANDS, cwd=tmp_path).split()


def test_the_command_names_a_package_that_owns_our_names(scripts: Path, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    run(*PIP, "install", "--no-deps", f"--target={beside}", "xds-protos==1.85.0", cwd=tmp_path)
    said = run(scripts / "cellplane", "--help", cwd=tmp_path, python_path=str(beside), succeeds=False)
    assert "the package xds-protos is installed beside Cellplane" in said
    assert "pip uninstall xds-protos, then reinstall cellplane" in said
