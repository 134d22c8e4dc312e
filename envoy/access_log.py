"""The access log of an edge: a line of JSON for each request, with cell, rule and what deciding cost.

It goes to Envoy's standard output. Queries and credentials are never in it: queries hold tokens. Made from
settings alone. `View -> Snapshot`, a part that no View decides.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import struct_pb2

from envoy.asking import OWNERS_FILTER
from envoy.edge import CELL_HEADER, OPERATOR_HEADER
from envoy.leaves import NAMESPACE, OUTCOME
from envoy.matchers import packed
from envoy.questions import OWNERS, TOLD
from pb.envoy.config.accesslog.v3 import accesslog_pb2
from pb.envoy.config.core.v3 import substitution_format_string_pb2
from pb.envoy.config.route.v3 import route_components_pb2
from pb.envoy.extensions.access_loggers.stream.v3 import stream_pb2

LINE: Final[dict[str, Any]] = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "id": "%REQ(X-REQUEST-ID)%",
    "trace": "%TRACE_ID%",
    "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "identity": "%DOWNSTREAM_PEER_URI_SAN%",
    "protocol": "%PROTOCOL%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "class": "%VIRTUAL_CLUSTER_NAME%",
    "rule": "%ROUTE_NAME%",
    # Of an answer of the edge's own, such as a quarantined cell's, the header alone says whose it is.
    "cell": f"%RESP({CELL_HEADER})%",
    "operator": f"%REQ({OPERATOR_HEADER})%",
    "outcome": f"%METADATA(ROUTE:{NAMESPACE}:{OUTCOME})%",
    "endpoint": "%UPSTREAM_HOST%",
    # What Python said, if it was asked: cell, epoch, seconds for each name; and how long the request waited.
    "told": f"%DYNAMIC_METADATA({TOLD}:{OWNERS})%",
    "asked_us": f"%FILTER_STATE({OWNERS_FILTER}:FIELD:request_header_latency_us)%",
    # From the request's first byte until it was on its way to the cell.
    "added_us": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%",
    "ms": "%DURATION%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
}

OF_OVERRIDES: Final = (
    *("time", "id", "peer", "client", "identity", "method", "host", "path", "status"),
    *("rule", "cell", "operator", "outcome"),
)
"""What is told of an override where nothing is told of other requests: who sent what where, and what came of
it. Each field is some 500 instructions of a request's 160,000.
"""


def access_log(*, everything: bool) -> accesslog_pb2.AccessLog:
    """Make it: for all requests, or only for those that an operator sent to a cell, which are always told."""
    line = struct_pb2.Struct()
    line.update(LINE if everything else {name: LINE[name] for name in OF_OVERRIDES})
    message = stream_pb2.StdoutAccessLog(
        log_format=substitution_format_string_pb2.SubstitutionFormatString(
            json_format=line, omit_empty_values=True
        )
    )
    found = accesslog_pb2.AccessLog(name="envoy.access_loggers.stdout", typed_config=packed(message))
    if not everything:
        # No client's own: such headers are removed, and this one is set where an override leads.
        found.filter.header_filter.header.CopyFrom(
            route_components_pb2.HeaderMatcher(name=OPERATOR_HEADER, present_match=True)
        )
    return found
