"""Methods are registered by name behind one handler, with the gate around those that it is to guard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.topology.service.stage import Stage
from topology.service.methods import Methods


@dataclass
class Details(grpc.HandlerCallDetails):
    method: str
    invocation_metadata: Any = ()


def test_a_method_is_found_by_its_full_name_with_what_is_laid_around_it() -> None:
    methods = Methods()
    guarded = methods.taking(lambda name, handler: f"around {name}, {handler}")
    guarded.add_generic_rpc_handlers(())
    guarded.add_registered_method_handlers("one.Service", {"Do": "asked"})
    methods.taking().add_registered_method_handlers("other.Service", {"Do": "plain"})
    assert methods.service(Details("/one.Service/Do")) == "around /one.Service/Do, asked"
    assert methods.service(Details("/other.Service/Do")) == "plain"
    assert methods.service(Details("/other.Service/Undo")) is None


async def test_a_method_that_is_not_there_is_told_as_such(stage: Stage) -> None:
    call: Any = stage.client().channel.unary_unary("/gitlab.cells.topology_service.ClassifyService/Guess")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_request_that_is_none_is_told_as_such(stage: Stage) -> None:
    call: Any = stage.client().channel.unary_unary("/gitlab.cells.topology_service.ClassifyService/Classify")
    with pytest.raises(grpc.aio.AioRpcError, match="no ClassifyRequest") as failed:
        await call(b"\xff\xff")
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
