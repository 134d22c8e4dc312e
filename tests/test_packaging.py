"""The wheel, as a stranger gets it: it holds all of `pb`, and every module of it imports from any folder.

It is installed with the oldest dependencies that it allows; the other tests run with the newest.
"""

from __future__ import annotations

import os
import re
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


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command as a stranger would: away from the repository, without our PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def oldest_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = (re.match(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in project["dependencies"])
    oldest = [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]
    assert len(oldest) == len(project["dependencies"]), "each dependency has a lower bound"
    return oldest


@pytest.mark.timeout(240)
def test_wheel_imports_from_anywhere_with_the_oldest_dependencies(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--quiet")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    constraints = tmp_path / "oldest.txt"
    constraints.write_text("\n".join(oldest_dependencies()), encoding="utf-8")

    run(*pip, "wheel", "--no-deps", f"--wheel-dir={tmp_path}", ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("cellplane-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for package in ("topology", "xds", "envoy", "cellplane", "pb"):
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    assert "pb/envoy/service/discovery/v3/ads_pb2_grpc.pyi" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "proto/", "google/"))]

    install = ("--python", python, "install", f"--constraint={constraints}", wheel)
    run(*pip, *install, "opentelemetry-exporter-otlp-proto-grpc", cwd=tmp_path)
    counts = [
        int(run(python, "-I", "-c", IMPORT_ALL, order, cwd=tmp_path))
        for order in ("ours-first", "others-first")
    ]
    modules = [name for name in names if name.startswith("pb/") and name.endswith(".py")]
    assert counts == [len(modules)] * 2
    assert len(modules) > 1000
    assert "usage" in (run(tmp_path / "env" / "bin" / "cellplane", "--help", cwd=tmp_path)).lower()
