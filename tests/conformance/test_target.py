"""The conformance target as a command, and what its adapter refuses."""

from __future__ import annotations

import socket
import subprocess

import pytest
from google.protobuf import any_pb2
from grpc import StatusCode, aio

from tests.conformance.adapter_api import call
from tests.conformance.conftest import COMMAND, ROOT, Target, running_target
from xds.resource import CLUSTER, SECRET

URL = CLUSTER.type_url
A = any_pb2.Any(type_url=URL, value=b"\n\x01a")


def said_on_the_command_line(*arguments: str) -> tuple[int, str]:
    ended = subprocess.run(
        (*COMMAND, *arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    return ended.returncode, ended.stderr.splitlines()[-1]


def test_what_is_no_port_is_said() -> None:
    code, text = said_on_the_command_line("--xds", "99999", "--adapter", "0")
    assert code == 2
    assert text.endswith("argument --xds: '99999' is no port; give a number from 0 (any free one) to 65535")


def test_two_servers_need_two_ports() -> None:
    code, text = said_on_the_command_line("--xds", "17000", "--adapter", "17000")
    assert (code, text.partition("error: ")[2]) == (
        2,
        "--xds and --adapter are both 17000; give each a port of its own",
    )


@pytest.mark.parametrize("option", ["--xds", "--adapter"])
def test_a_port_that_is_taken_is_said(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = {"--xds": "--adapter", "--adapter": "--xds"}[option]
        assert said_on_the_command_line(option, str(port), other, "0") == (
            1,
            f"can't listen on 127.0.0.1:{port}: the port is taken, or is not ours",
        )


def test_it_goes_when_it_is_told_to() -> None:
    with running_target() as target:
        target.process.terminate()
        assert target.process.wait(timeout=10) == 0


REFUSALS = [
    ("SetState", {"version": "1"}, "node: got '', wanted a text that is not empty"),
    ("SetState", {"node": "n"}, "version: got '', wanted a text that is not empty"),
    (
        "SetState",
        {"node": "n", "version": "1", "resources": [any_pb2.Any(type_url=SECRET.type_url)]},
        f"resources[0].type_url: got '{SECRET.type_url}', wanted one of {URL}, ",
    ),
    (
        "SetState",
        {"node": "n", "version": "1", "resources": [A, any_pb2.Any(type_url=URL, value=b"\xff")]},
        f"resources[1].value: got '', wanted a serialised {URL}",
    ),
    (
        "SetState",
        {"node": "n", "version": "1", "resources": [any_pb2.Any(type_url=URL)]},
        "resources[0]: got '', wanted a resource with a name",
    ),
    ("ClearState", {}, "node: got '', wanted a text that is not empty"),
    (
        "AddResource",
        {"node": "nobody", "typeUrl": URL, "resourceName": "a", "version": "1"},
        "node: got 'nobody', wanted a node whose state was set: call SetState first",
    ),
    (
        "AddResource",
        {"node": "n", "typeUrl": URL, "resourceName": "a", "version": "1"},
        "resourceName: got 'a', wanted one that is new: call UpdateResource",
    ),
    (
        "UpdateResource",
        {"node": "n", "typeUrl": URL, "resourceName": "b", "version": "1"},
        "resourceName: got 'b', wanted one that exists: call AddResource first",
    ),
    (
        "RemoveResource",
        {"node": "n", "typeUrl": "x", "resourceName": "b"},
        f"typeUrl: got 'x', wanted one of {URL}, ",
    ),
]


@pytest.mark.parametrize(
    ("method", "fields", "text"), REFUSALS, ids=[f"{method}-{text[:24]}" for method, _, text in REFUSALS]
)
async def test_the_adapter_says_what_is_wrong(
    target: Target, method: str, fields: dict[str, object], text: str
) -> None:
    async with aio.insecure_channel(target.adapter) as channel:
        await call(channel, "SetState", node="n", version="1", resources=[A])
        with pytest.raises(aio.AioRpcError) as refused:
            await call(channel, method, **fields)
    assert refused.value.code() is StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(text)


async def test_the_adapter_answers_as_the_harness_expects(target: Target) -> None:
    one = {"node": "m", "typeUrl": URL, "resourceName": "b", "version": "2"}
    async with aio.insecure_channel(target.adapter) as channel:
        assert (await call(channel, "SetState", node="m", version="1", resources=[A])).success
        for method in ("AddResource", "UpdateResource", "RemoveResource"):
            assert (await call(channel, method, **one)).success
        assert (await call(channel, "ClearState", node="m")).response == "m has nothing now"
