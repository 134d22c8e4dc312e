from __future__ import annotations

import json
from pathlib import Path

import pytest

from envoy.bootstrap import BootstrapError, XdsTls, bootstrap
from envoy.edge import INTERNAL_HEADERS
from tests.conftest import Accepts
from tests.envoy.certificates import Operators


def test_it_says_who_it_is_and_asks_over_delta_ads() -> None:
    made = bootstrap(role="edge", node_id="edge-1", xds_addresses=["10.0.0.1:18000"], region="eu", zone="a")
    assert made["node"] == {
        "id": "edge-1",
        "cluster": "edge",
        "metadata": {"role": "edge"},
        "locality": {"region": "eu", "zone": "a"},
    }
    ads = made["dynamic_resources"]["ads_config"]
    assert (ads["api_type"], ads["set_node_on_first_message_only"]) == ("DELTA_GRPC", True)
    assert made["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}


def test_it_comes_back_soon_after_its_control_plane_does_and_not_with_all_others_at_once() -> None:
    made = bootstrap(role="edge", node_id="edge-1", xds_addresses=["10.0.0.1:18000"])
    (service,) = made["dynamic_resources"]["ads_config"]["grpc_services"]
    pauses = service["envoy_grpc"]["retry_policy"]["retry_back_off"]
    assert pauses == {"base_interval": "0.5s", "max_interval": "10s"}


def test_without_configuration_it_is_not_ready_however_long_that_lasts() -> None:
    made = bootstrap(role="edge", node_id="edge-1", xds_addresses=["10.0.0.1:18000"])["dynamic_resources"]
    assert made["cds_config"]["initial_fetch_timeout"] == "0s"
    assert made["lds_config"]["initial_fetch_timeout"] == "0s"


def test_headers_that_every_request_is_asked_for_are_kept_at_hand() -> None:
    kept = bootstrap(role="edge", node_id="e", xds_addresses=["10.0.0.1:1"])["inline_headers"]
    asked = {each["inline_header_name"] for each in kept if each["inline_header_type"] == "REQUEST_HEADER"}
    assert {*INTERNAL_HEADERS, "cookie", "private-token", "x-cellplane-override"} <= asked


def test_addresses_are_replicas_by_ip_or_by_name() -> None:
    def cluster(*addresses: str) -> tuple[str, list[object]]:
        made = bootstrap(role="edge", node_id="e", xds_addresses=addresses)
        (found,) = made["static_resources"]["clusters"]
        (locality,) = found["load_assignment"]["endpoints"]
        places = [each["endpoint"]["address"]["socket_address"] for each in locality["lb_endpoints"]]
        return found["type"], [(each["address"], each["port_value"]) for each in places]

    assert cluster("10.0.0.1:1", "[fd00::1]:2") == ("STATIC", [("10.0.0.1", 1), ("fd00::1", 2)])
    assert cluster("10.0.0.1:1", "xds.test:2") == ("STRICT_DNS", [("10.0.0.1", 1), ("xds.test", 2)])


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"role": "router"}, "use one of edge"),
        ({"node_id": ""}, "give each Envoy a name"),
        ({"xds_addresses": []}, "name at least one HOST:PORT"),
        ({"xds_addresses": ["10.0.0.1"]}, "write HOST:PORT"),
        ({"xds_addresses": ["10.0.0.1:0"]}, "write HOST:PORT"),
        ({"xds_addresses": [":1"]}, "write HOST:PORT"),
        ({"xds_addresses": ["http://a:1"]}, "give one, without scheme, port or path"),
        ({"xds_addresses": ["10.0.0.1:1,10.0.0.2:2"]}, "give one, without scheme, port or path"),
        ({"xds_addresses": ["0.0.0.0:1"]}, "0.0.0.0"),
        ({"node_id": " "}, "give each Envoy a name"),
        ({"xds_tls": XdsTls(ca="ca.pem", certificate="c.pem")}, "give both or neither"),
    ],
)
def test_a_bad_argument_is_named_with_its_fix(change: dict[str, object], fix: str) -> None:
    arguments = {"role": "edge", "node_id": "edge-1", "xds_addresses": ["10.0.0.1:1"], **change}
    with pytest.raises(BootstrapError, match=fix):
        bootstrap(**arguments)  # type: ignore[arg-type]


async def test_envoy_accepts_it(envoy_accepts: Accepts) -> None:
    plain = bootstrap(role="edge", node_id="edge-1", xds_addresses=["127.0.0.1:18000"])
    await envoy_accepts(plain)
    assert json.loads(json.dumps(plain)) == plain


async def test_envoy_accepts_it_with_everything(envoy_accepts: Accepts, tmp_path: Path) -> None:
    operators = Operators(tmp_path / "tls")
    certificate, key = operators.issue("edge", names=("edge-1.test",))
    await envoy_accepts(
        bootstrap(
            role="edge",
            node_id="edge-1",
            cluster="edges",
            region="eu",
            zone="a",
            xds_addresses=["xds-1.test:18000", "xds-2.test:18000"],
            xds_tls=XdsTls(
                ca=str(operators.ca), certificate=str(certificate), key=str(key), server_name="xds.test"
            ),
            max_connections=10,
            max_heap_bytes=1 << 30,
        )
    )


def test_a_sidecar_says_of_which_cell_it_is() -> None:
    made = bootstrap(role="sidecar", cell_id=4, node_id="pod-1", xds_addresses=["10.0.0.2:18000"])
    assert made["node"] == {
        "id": "pod-1",
        "cluster": "sidecar",
        "metadata": {"role": "sidecar", "cell": "4"},
    }


@pytest.mark.parametrize(
    ("role", "cell_id"), [("sidecar", 0), ("edge", 4), ("sidecar", -1), ("sidecar", 2**31)]
)
def test_only_a_sidecar_has_a_cell(role: str, cell_id: int) -> None:
    with pytest.raises(BootstrapError, match="cell_id"):
        bootstrap(role=role, cell_id=cell_id, node_id="e", xds_addresses=["10.0.0.2:18000"])
