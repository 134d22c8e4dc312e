"""Build hook: generates the package `pb` from the descriptors in the `xds-protos` wheel and our `proto/`.

`pip install -e .` writes it to `pb/` beside this file; a wheel carries it inside. Descriptors keep their file
names, so reflection works; only Python imports gain the prefix `pb.`. Files that a run-time dependency ships
are left out: a second copy is a "duplicate file name" in the descriptor pool.
Never imports the `envoy` or `xds` of the `xds-protos` wheel: it reads its files.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ENVOY_API = "xds-protos"
# Shipped at run time by our dependencies, so never generated here.
SHIPPED_BY = ("protobuf", "googleapis-common-protos", "opentelemetry-proto")
# Of the Envoy API only version 3 and what it imports: version 2 left Envoy in 2021.
WANTED = re.compile(r"(envoy|xds|udpa)/(.+/)?v3/")

# `from envoy.type.v3 import percent_pb2 as …`; for a public import `from envoy.type.v3.percent_pb2 import *`.
IMPORT = re.compile(
    r"^(?P<from> *from )(?P<package>[\w.]+)(?P<joint>\.| import )(?P<module>\w+_pb2)\b", re.MULTILINE
)
OWN_NAME = re.compile(r"(BuildTopDescriptorsAndMessages\(DESCRIPTOR, ')")

Descriptors = Mapping[str, FileDescriptorProto]


class PbBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling, once for each build."""

    _temporary: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if self.target_name != "wheel":
            return
        if version == "editable":
            with tempfile.TemporaryDirectory(dir=root, prefix=".pb-") as scratch:
                fresh = Path(scratch, "pb")
                generate(root, fresh)
                replace_directory(root / "pb", fresh, Path(scratch, "old"))
        else:
            self._temporary = tempfile.TemporaryDirectory(prefix="cellplane-pb-")
            fresh = Path(self._temporary.name, "pb")
            generate(root, fresh)
            # `pb` is in .gitignore, so it must be included by force or the wheel comes out without it.
            build_data["force_include"][str(fresh)] = "pb"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()


def generate(root: Path, destination: Path) -> None:
    """Write the whole package `pb` to `destination`, which must not exist."""
    shipped = proto_names(file for package in SHIPPED_BY for file in installed_modules(package))
    known = read_wheel(ENVOY_API)
    own = compile_own(root / "proto", known)
    known = {**known, **own}
    chosen = closure((*own, *(name for name in known if WANTED.match(name))), known, shipped)
    destination.mkdir(parents=True)
    run_protoc(known, chosen, destination)
    for path in sorted(destination.rglob("*.py*")):
        path.write_text(prefix_imports(path.read_text(encoding="utf-8"), frozenset(chosen)), encoding="utf-8")
    add_package_files(destination)
    stamp(root, destination)


def installed_modules(package: str) -> Iterable[str]:
    """Return the names of the generated modules of an installed package, as in its RECORD."""
    return (str(file) for file in distribution(package).files or () if str(file).endswith("_pb2.py"))


def proto_names(modules: Iterable[str]) -> frozenset[str]:
    """Return the proto file of each generated module: `google/rpc/status.proto` of `…/status_pb2.py`."""
    return frozenset(module.removesuffix("_pb2.py") + ".proto" for module in modules)


def read_wheel(package: str) -> dict[str, FileDescriptorProto]:
    """Return every descriptor in the generated modules of an installed package, without importing any."""
    found = (
        serialized_file(path.read_text(encoding="utf-8"))
        for module in installed_modules(package)
        if (path := Path(str(distribution(package).locate_file(module)))).exists()
    )
    descriptors = {file.name: file for file in found}
    if not descriptors:
        raise RuntimeError(f"{package} is installed without generated modules; its layout has changed")
    return descriptors


def serialized_file(source: str) -> FileDescriptorProto:
    """Return the descriptor that a generated module hands to `AddSerializedFile`."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "AddSerializedFile"
        ):
            literal = ast.literal_eval(node.args[0])
            return FileDescriptorProto.FromString(literal)
    raise ValueError("no call of AddSerializedFile: not a module that protoc generated")


def compile_own(folder: Path, known: Descriptors) -> dict[str, FileDescriptorProto]:
    """Compile our own proto files, with their comments. A file that the Envoy API has already is refused."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.proto"))
    if at_top := [name for name in names if "/" not in name]:
        raise ValueError(f"{', '.join(at_top)} must lie in a folder below {folder.name}/")
    if doubled := sorted(known.keys() & set(names)):
        raise ValueError(f"{', '.join(doubled)}: {ENVOY_API} has a file of this name already")
    includes = (folder, located("grpcio-tools", "grpc_tools/_proto"), located("googleapis-common-protos", ""))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "own.binpb")
        protoc(
            *(f"-I{path}" for path in includes),
            f"--descriptor_set_out={out}",
            "--include_source_info",
            *names,
        )
        return {file.name: file for file in FileDescriptorSet.FromString(out.read_bytes()).file}


def closure(wanted: Iterable[str], known: Descriptors, shipped: frozenset[str]) -> tuple[str, ...]:
    """Return the wanted files and all they import, imports first, without those that others ship."""
    ordered: dict[str, None] = {}

    def visit(name: str, importer: str) -> None:
        if name in shipped or name in ordered:
            return
        if name not in known:
            raise ValueError(f"{importer} imports {name}, which is in no package that we know")
        for dependency in known[name].dependency:
            visit(dependency, name)
        ordered[name] = None

    for name in sorted(wanted):
        visit(name, "the list of wanted files")
    return tuple(ordered)


def run_protoc(known: Descriptors, chosen: tuple[str, ...], destination: Path) -> None:
    """Generate modules and types for the chosen files, and stubs for those with a service."""
    imported = {name for chosen_name in chosen for name in known[chosen_name].dependency} - set(chosen)
    files = FileDescriptorSet(file=[*shipped_descriptors(imported), *(known[name] for name in chosen)])
    with_service = [name for name in chosen if known[name].service]
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch, "chosen.binpb")
        descriptors.write_bytes(files.SerializeToString())
        source = f"--descriptor_set_in={descriptors}"
        protoc(source, f"--python_out={destination}", f"--mypy_out=quiet:{destination}", *chosen)
        protoc(
            source, f"--grpc_python_out={destination}", f"--mypy_grpc_out=quiet:{destination}", *with_service
        )


def shipped_descriptors(names: Iterable[str]) -> list[FileDescriptorProto]:
    """Return the descriptors of files that dependencies ship, their imports before them."""
    ordered: dict[str, FileDescriptorProto] = {}

    def visit(name: str) -> None:
        if name in ordered:
            return
        module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        descriptor = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for dependency in descriptor.dependency:
            visit(dependency)
        ordered[name] = descriptor

    for name in sorted(names):
        visit(name)
    return list(ordered.values())


def protoc(*arguments: str) -> None:
    """Run the protoc of grpcio-tools with the plugins of mypy-protobuf, wherever pip has put those two."""
    scripts = [
        path for path in distribution("mypy-protobuf").files or () if path.stem.startswith("protoc-gen-")
    ]
    plugins = [f"--plugin={path.stem}={located('mypy-protobuf', str(path))}" for path in scripts]
    command = [sys.executable, "-m", "grpc_tools.protoc", *plugins, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"protoc failed: {done.stderr.strip()}")


def prefix_imports(source: str, generated: frozenset[str]) -> str:
    """Let a generated module import its generated neighbours from `pb`, and name itself so."""

    def prefixed(match: re.Match[str]) -> str:
        package, module = match["package"], match["module"]
        name = f"{package.replace('.', '/')}/{module.removesuffix('_pb2')}.proto"
        if name not in generated:
            return match[0]
        return f"{match['from']}pb.{package}{match['joint']}{module}"

    return OWN_NAME.sub(r"\1pb.", IMPORT.sub(prefixed, source))


def add_package_files(destination: Path) -> None:
    """Make a typed package of every folder."""
    for folder in (destination, *(path for path in destination.rglob("*") if path.is_dir())):
        (folder / "__init__.py").touch()
    (destination / "__init__.py").write_text(
        '"""Generated by hatch_build.py; do not edit."""\n', encoding="utf-8"
    )
    (destination / "py.typed").touch()


def stamp(root: Path, destination: Path) -> None:
    """Write down what `pb` was made from, in the words of the module that checks it."""
    spec = importlib.util.spec_from_file_location(
        "cellplane_environment", root / "cellplane" / "environment.py"
    )
    if spec is None or spec.loader is None:
        raise AssertionError("a path to a file always gives a loader")
    environment = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = environment  # dataclasses look their own module up
    spec.loader.exec_module(environment)
    text = json.dumps(environment.fingerprint(root), indent=2, sort_keys=True)
    (destination / environment.STAMP).write_text(text + "\n", encoding="utf-8")


def located(package: str, file: str) -> Path:
    """Return where a file of an installed package lies; in a build that is not where `sysconfig` says."""
    return Path(str(distribution(package).locate_file(file))).resolve()


def replace_directory(target: Path, fresh: Path, aside: Path) -> None:
    """Put `fresh` in the place of `target` by renaming: a reader sees the old package or the new one."""
    if target.exists():
        target.rename(aside)
    fresh.rename(target)
    shutil.rmtree(aside, ignore_errors=True)
