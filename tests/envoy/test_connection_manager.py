from __future__ import annotations

from envoy.connection_manager import Hcm, connection_manager
from envoy.edge import EdgeSettings, EdgeTls
from pb.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from pb.envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation,
)

TLS = EdgeTls(certificate="/c.pem", key="/k.pem")
MTLS = EdgeTls(certificate="/c.pem", key="/k.pem", client_ca="/ca.pem")


def mutations(settings: EdgeSettings) -> list[str]:
    found = HeaderMutation()
    (extension,) = connection_manager(settings).early_header_mutation_extensions
    assert extension.typed_config.Unpack(found)
    return [
        each.remove or each.append.header.value or f"{each.remove_on_match.key_matcher.prefix}*"
        for each in found.mutations
    ]


def test_it_asks_for_its_routes_and_waits_for_them() -> None:
    rds = connection_manager(EdgeSettings()).rds
    assert rds.route_config_name == "edge"
    assert rds.config_source.HasField("initial_fetch_timeout")
    assert rds.config_source.initial_fetch_timeout.ToMilliseconds() == 0


def test_paths_are_normalised_and_peers_are_not_taken_at_their_word() -> None:
    found = connection_manager(EdgeSettings())
    assert found.normalize_path.value
    assert found.merge_slashes
    assert found.use_remote_address.value
    assert found.path_with_escaped_slashes_action == Hcm.KEEP_UNCHANGED
    assert not connection_manager(EdgeSettings(merge_slashes=False)).merge_slashes


def test_answers_are_counted_by_status_only_where_something_is_counted_or_logged() -> None:
    def counts(settings: EdgeSettings) -> bool:
        found = Router()
        assert connection_manager(settings).http_filters[-1].typed_config.Unpack(found)
        return found.dynamic_stats.value

    assert not counts(EdgeSettings())
    assert counts(EdgeSettings(count_decisions=True))
    assert counts(EdgeSettings(access_log=True))


def test_a_clients_copies_of_our_headers_are_removed_first() -> None:
    removed = ["x-cellplane-cell", "x-cellplane-rule", "x-cellplane-identity"]
    removed += ["x-cellplane-operator", "x-cellplane-session", "x-cellplane-owner"]
    forwarded = ["forwarded", "x-real-ip", "x-original-url", "x-rewrite-url"]
    assert mutations(EdgeSettings(trusted_hops=1)) == removed, (
        "what a trusted proxy says of its clients stays"
    )
    removed = ["x-forwarded-*", *removed, *forwarded]
    assert mutations(EdgeSettings()) == removed
    assert mutations(EdgeSettings(tls=TLS)) == removed
    names = ["%DOWNSTREAM_PEER_URI_SAN%", "%DOWNSTREAM_PEER_DNS_SAN%"]
    assert mutations(EdgeSettings(tls=MTLS)) == removed + names


def test_nothing_cuts_a_stream_that_moves() -> None:
    found = connection_manager(EdgeSettings(stream_idle_seconds=60))
    assert found.stream_idle_timeout.seconds == 60
    assert not found.HasField("request_timeout")
    assert not found.common_http_protocol_options.HasField("max_stream_duration")
    assert not found.common_http_protocol_options.HasField("max_connection_duration")


def test_the_access_log_is_of_overrides_alone_unless_wanted() -> None:
    (overrides,) = connection_manager(EdgeSettings()).access_log
    assert overrides.filter.header_filter.header.name == "x-cellplane-operator"
    (everything,) = connection_manager(EdgeSettings(access_log=True)).access_log
    assert not everything.HasField("filter")
