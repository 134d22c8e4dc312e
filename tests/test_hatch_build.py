"""What the build hook takes, leaves out and rewrites; `test_packaging.py` builds a whole wheel with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from hatch_build import closure, prefix_imports, proto_names, replace_directory, serialized_file


def files(**imports: list[str]) -> dict[str, FileDescriptorProto]:
    return {
        f"a/{name}.proto": FileDescriptorProto(name=f"a/{name}.proto", dependency=dependencies)
        for name, dependencies in imports.items()
    }


def test_closure_puts_imports_first_and_leaves_out_what_others_ship() -> None:
    known = files(one=["a/two.proto", "google/rpc/status.proto"], two=["a/three.proto"], three=[], four=[])
    shipped = frozenset({"google/rpc/status.proto"})
    assert closure(["a/one.proto"], known, shipped) == ("a/three.proto", "a/two.proto", "a/one.proto")


def test_closure_takes_nothing_that_is_shipped_even_when_wanted() -> None:
    assert closure(["a/one.proto"], files(one=[]), frozenset({"a/one.proto"})) == ()


def test_closure_names_an_unknown_import_and_its_importer() -> None:
    with pytest.raises(ValueError, match=r"a/one\.proto imports b/gone\.proto, which is in no package"):
        closure(["a/one.proto"], files(one=["b/gone.proto"]), frozenset())


@pytest.mark.parametrize(
    ("line", "rewritten"),
    [
        ("from envoy.v3 import x_pb2 as _x", "from pb.envoy.v3 import x_pb2 as _x"),
        ("from envoy.v3.x_pb2 import *", "from pb.envoy.v3.x_pb2 import *"),
        ("    from envoy.v3 import x_pb2", "    from pb.envoy.v3 import x_pb2"),
        ("from google.rpc import status_pb2 as _s", "from google.rpc import status_pb2 as _s"),
        ("from envoy.v3 import y_pb2 as _y", "from envoy.v3 import y_pb2 as _y"),
        ("from google.protobuf import descriptor as _d", "from google.protobuf import descriptor as _d"),
        ("text = 'see from envoy.v3 import x_pb2'", "text = 'see from envoy.v3 import x_pb2'"),
        (
            "_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'envoy.v3.x_pb2', _globals)",
            "_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'pb.envoy.v3.x_pb2', _globals)",
        ),
    ],
)
def test_only_generated_neighbours_are_imported_from_pb(line: str, rewritten: str) -> None:
    assert (
        prefix_imports(f"import sys\n{line}\n", frozenset({"envoy/v3/x.proto"}))
        == f"import sys\n{rewritten}\n"
    )


def test_a_descriptor_is_read_out_of_a_generated_module() -> None:
    source = r"""
import this_is_never_imported
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x0b\x61/one.proto\x12\x01\x61')
"""
    assert serialized_file(source) == FileDescriptorProto(name="a/one.proto", package="a")


def test_a_module_without_descriptor_is_refused() -> None:
    with pytest.raises(ValueError, match="not a module that protoc generated"):
        serialized_file("x = 1")


def test_module_names_become_proto_names() -> None:
    assert proto_names(["google/rpc/status_pb2.py"]) == {"google/rpc/status.proto"}


@pytest.mark.parametrize("existed", [True, False])
def test_a_directory_is_replaced_whole(tmp_path: Path, existed: bool) -> None:
    target, fresh = tmp_path / "pb", tmp_path / "fresh"
    if existed:
        target.mkdir()
        (target / "old.py").touch()
    fresh.mkdir()
    (fresh / "new.py").touch()
    replace_directory(target, fresh, tmp_path / "aside")
    assert [path.name for path in target.iterdir()] == ["new.py"]
    assert [path.name for path in tmp_path.iterdir()] == ["pb"]
