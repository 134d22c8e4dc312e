"""The OpenAPI document: whole, in step with the table, and true to what the pages answer."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import hypothesis
import pytest
from jsonschema import Draft202012Validator

from cellplane.rest_openapi import document
from cellplane.rest_table import TABLE, Operation
from cellplane.settings import Listen, TlsFiles
from cellplane.topology_rest import RestPages
from tests.cellplane.cli.topology_thread import Topology, topology_in_a_thread
from tests.topology.service.test_claim_service import begin, commit
from topology.service.classify import Lifetimes
from topology.service.identity import NO_MORE_NAMES

DOCUMENT: Final = document("1")
CHECKS: Final = (
    "content_type_conformance",
    "negative_data_rejection",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
    "unsupported_method",
)


def test_every_operation_is_described() -> None:
    described = {(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}
    assert described == {(operation.verb, operation.path) for operation in TABLE}
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)

    def references(part: Any) -> Iterator[str]:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if key == "$ref":
                yield value
            elif isinstance(value, dict | list):
                yield from references(value)

    assert {name.rpartition("/")[2] for name in references(DOCUMENT)} == set(schemas)


def test_protobufs_json_is_described_as_it_is() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    cell = schemas["cellplane.topology.v1.Cell"]["properties"]
    assert cell["id"] == {"type": "string", "pattern": "^-?[0-9]+$"}
    assert cell["ring"] == {"type": "integer"}
    assert cell["updatedAt"] == {"type": "string", "format": "date-time"}
    assert cell["addresses"] == {"type": "object", "additionalProperties": {"type": "string"}}
    assert "CELL_STATE_ACTIVE" in cell["state"]["enum"]
    asked = schemas["gitlab.cells.topology_service.ClassifyRequest.Asked"]["properties"]
    assert {"type": "null"} in asked["value"]["anyOf"]


async def serve(topology: Topology) -> tuple[RestPages, int]:
    client = topology.stage.client()
    await commit(client, 2, await begin(client, 2, ["acme", "a/b"]))
    await begin(client, 2, ["open"])
    pages = RestPages(topology.stage.server, NO_MORE_NAMES, Lifetimes())
    return pages, await pages.start(Listen(host="127.0.0.1", port=0), TlsFiles())


@pytest.fixture(scope="module")
def schemathesis() -> Any:
    """Give the library. Every worker imports this file, and one or two have its tests."""
    return import_module("schemathesis")


@pytest.fixture(scope="module")
def schema(schemathesis: Any) -> Iterator[Any]:
    """Give what schemathesis reads at the pages."""
    with topology_in_a_thread() as topology:
        pages, port = topology.do(serve(topology))
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
        topology.do(pages.stop())


# Of these every text is right, so that nothing wrong can be made up.
ANY_TEXT: Final = {"/v1/moves/{id}"}
ASKED: Final = [
    (operation, mode)
    for operation in TABLE
    for mode in ("positive", "negative")
    if mode == "positive" or operation.path not in ANY_TEXT
]


# The service, in a thread of its own, draws random numbers while schemathesis makes up requests.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize(
    ("operation", "mode"), ASKED, ids=[f"{operation.path}-{mode}" for operation, mode in ASKED]
)
def test_the_pages_are_as_described(operation: Operation, mode: str, schemathesis: Any, schema: Any) -> None:
    """Whatever schemathesis makes up from the served document, right or wrong, is answered as it says."""
    described = schema[operation.path][operation.verb]
    drawn = described.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
    whole = import_module("schemathesis.specs.openapi.checks")
    checks = [schemathesis.checks.not_a_server_error, *(getattr(whole, name) for name in CHECKS)]

    examples = 4 if operation.verb == "POST" else 8  # a body with all kinds of claims takes long to make up

    @hypothesis.settings(
        max_examples=examples, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=drawn)
    def answered(case: Any) -> None:
        case.call_and_validate(checks=checks)

    answered()
