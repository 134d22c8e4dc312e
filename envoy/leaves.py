"""The ends of the route table: a request goes to a cell, is divided by weight, or is answered 503.

Rules ask for leaves, one per cell and rule, so they are small: what all have in common (headers, retries)
is said once, by the virtual host in `routes`. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from enum import Enum
from functools import lru_cache
from typing import Final

from google.protobuf import wrappers_pb2

from envoy import steered
from envoy.decision import Outcome
from envoy.durations import seconds
from envoy.edge import CELL_HEADER, OPERATOR_HEADER
from envoy.matchers import OnMatch, leaf
from envoy.moved import follow, retries
from envoy.shares import HANDFUL, Shares, tree
from envoy.standing import Access, cluster_name
from envoy.traffic import ORDINARY, Manners
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2

NAMESPACE: Final = "cellplane"
OUTCOME: Final = "outcome"
"""Where a route's metadata says what came of a request that ended there."""
_ANYTHING: Final = route_pb2.RouteMatch(prefix="/")
_OPERATOR: Final = (
    "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%DOWNSTREAM_PEER_URI_SAN%",  # this and the next are left out where there is none
    "%DOWNSTREAM_PEER_DNS_SAN%",
)
_OVERWRITE: Final = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


class Mark(Enum):
    """What is to be known of requests that end at a leaf, besides rule and cell."""

    NOTHING = "nothing"
    STEERED = "steered"
    """A token that nobody has verified names the cell. Lua has read it, and the limit came with Lua."""
    COOKIE = "cookie"
    """A cookie does so. Requests may come here first of all."""
    OPERATOR = "operator"
    """Whoever is allowed to names it."""


@lru_cache(maxsize=32_768)  # a change of one cell makes the leaves of one cell
def at_cell(
    rule: str,
    cell_id: int,
    access: Access,
    retry_after_seconds: int,
    manners: Manners = ORDINARY,
    mark: Mark = Mark.NOTHING,
    *,
    follows: bool = False,
) -> OnMatch:
    """End at a cell: its cluster, or while it is quarantined an answer in its name. Not to be edited.

    `follows`: who is refused there is tried once more where they are.
    """
    if access is Access.CLOSED:
        raise AssertionError(f"rule {rule} has no leaf for cell {cell_id}, which is closed")
    if access is Access.QUARANTINED:
        name = cluster_name(cell_id)
        body = f"Cell {name} is quarantined and does not answer now. Nothing is lost: try again later.\n"
        named = header(CELL_HEADER, name)
        return leaf(_unavailable(rule, Outcome.QUARANTINED, body, retry_after_seconds, named))
    action = _mannered(route_pb2.RouteAction(cluster=cluster_name(cell_id)), manners)
    route = route_pb2.Route(name=rule, match=_ANYTHING, route=action)
    if mark in {Mark.STEERED, Mark.COOKIE}:
        steered.mark(route)
    if mark is Mark.COOKIE:
        steered.enable(route)
    if mark is Mark.OPERATOR:
        address, *names = _OPERATOR
        route.request_headers_to_add.append(header(OPERATOR_HEADER, address))
        route.request_headers_to_add.extend(
            base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=OPERATOR_HEADER, value=each))
            for each in names
        )
    if follows and manners.retries:
        follow(route)
    return leaf(route)


def at_cluster(rule: str, cluster: str, manners: Manners = ORDINARY) -> OnMatch:
    """End at a cluster that is no cell."""
    action = _mannered(route_pb2.RouteAction(cluster=cluster), manners)
    return leaf(route_pb2.Route(name=rule, match=_ANYTHING, route=action))


def rejected(rule: str, status: int, body: str, retry_after_seconds: int) -> OnMatch:
    """Answer with a status of the rule's own; with 503, when to try again."""
    again = (header("retry-after", str(retry_after_seconds)),) if status == 503 else ()
    kind = "application/json" if body.startswith("{") else "text/plain; charset=utf-8"
    answer = route_pb2.DirectResponseAction(status=status, body=base_pb2.DataSource(inline_string=body))
    return leaf(
        route_pb2.Route(
            name=rule,
            match=_ANYTHING,
            direct_response=answer,
            metadata=_outcome(Outcome.REJECTED),
            response_headers_to_add=(header("content-type", kind), *again),
        )
    )


def divided(
    rule: str,
    weights: Iterable[tuple[int, int]],
    retry_after_seconds: int,
    manners: Manners = ORDINARY,
    follows: Container[int] = (),
) -> OnMatch:
    """Divide requests among cells by weight; with none to take them, say so.

    Who is refused by a cell of `follows` is tried once more where they are; a route among several can't.
    """
    shares = [(cell_id, weight) for cell_id, weight in weights if weight > 0]
    if not shares:
        body = (
            "No cell takes new traffic now: every cell is full, draining or quarantined. Try again later.\n"
        )
        return leaf(_unavailable(rule, Outcome.NO_CELL, body, retry_after_seconds))
    apart = manners.retries and any(cell_id in follows for cell_id, _ in shares)
    return tree(
        shares,
        lambda few: _handful(rule, few, retry_after_seconds, manners, follows),
        1 if apart else HANDFUL,
    )


def _handful(
    rule: str, shares: Shares, retry_after_seconds: int, manners: Manners, follows: Container[int]
) -> OnMatch:
    if len(shares) == 1:
        cell_id = shares[0][0]
        return at_cell(rule, cell_id, Access.OPEN, retry_after_seconds, manners, follows=cell_id in follows)
    clusters = route_pb2.WeightedCluster(
        clusters=(
            route_pb2.WeightedCluster.ClusterWeight(
                name=cluster_name(cell_id), weight=wrappers_pb2.UInt32Value(value=weight)
            )
            for cell_id, weight in shares
        )
    )
    action = _mannered(route_pb2.RouteAction(weighted_clusters=clusters), manners)
    if manners.retries:
        # Its own, in place of the virtual host's: no retry of what one cell did not take draws another cell.
        action.retry_policy.CopyFrom(retries())
    return leaf(route_pb2.Route(name=rule, match=_ANYTHING, route=action))


def header(name: str, value: str) -> base_pb2.HeaderValueOption:
    """Set a header, over whatever stands there already."""
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=name, value=value), append_action=_OVERWRITE
    )


def _outcome(outcome: Outcome) -> base_pb2.Metadata:
    """Say for the access log what came of the request. A cell that answers says it itself."""
    found = base_pb2.Metadata()
    found.filter_metadata[NAMESPACE][OUTCOME] = outcome.value
    return found


def _mannered(action: route_pb2.RouteAction, manners: Manners) -> route_pb2.RouteAction:
    """Say how the request is treated, where that is not what the virtual host or the listener says.

    The timeout is always said: Envoy's own is 15 seconds.
    """
    action.timeout.CopyFrom(seconds(manners.timeout_seconds))
    if manners.idle_seconds is not None:
        action.idle_timeout.CopyFrom(seconds(manners.idle_seconds))
    if not manners.retries:
        action.retry_policy.SetInParent()  # an empty one, in place of the virtual host's
    return action


def _unavailable(
    rule: str, outcome: Outcome, body: str, retry_after_seconds: int, *headers: base_pb2.HeaderValueOption
) -> route_pb2.Route:
    return route_pb2.Route(
        name=rule,
        match=_ANYTHING,
        direct_response=route_pb2.DirectResponseAction(
            status=503, body=base_pb2.DataSource(inline_string=body)
        ),
        metadata=_outcome(outcome),
        response_headers_to_add=(
            header("retry-after", str(retry_after_seconds)),
            header("content-type", "text/plain; charset=utf-8"),
            *headers,
        ),
    )
