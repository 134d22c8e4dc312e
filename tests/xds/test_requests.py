"""What is looked at before a request counts."""

from __future__ import annotations

from xds.requests import over_limit, refused_name, too_long, type_asked_for
from xds.resource import BY_URL, CLUSTER, ENDPOINT
from xds.subscription import Asked, Subscription
from xds.terms import Terms
from xds.wire import Composer, ProtocolError, Status

TERMS = Terms(composer=Composer("test"), max_names=2, max_name_characters=5)


def test_rule_3_the_type_is_named_or_implied() -> None:
    assert type_asked_for(CLUSTER.type_url, None, BY_URL) is CLUSTER
    assert type_asked_for("", ENDPOINT, BY_URL) is ENDPOINT
    assert type_asked_for(ENDPOINT.type_url, ENDPOINT, BY_URL) is ENDPOINT
    assert type_asked_for("type.googleapis.com/some.Thing", None, BY_URL) is None
    for url, only in (("", None), (CLUSTER.type_url, ENDPOINT)):
        problem = type_asked_for(url, only, BY_URL)
        assert isinstance(problem, ProtocolError)
        assert problem.status is Status.INVALID_ARGUMENT


def test_names_have_a_greatest_length() -> None:
    assert too_long(["12345", "123456", "ü" * 5], TERMS) == ["123456"]
    assert refused_name(CLUSTER, "x" * 50, TERMS) == ProtocolError(
        Status.INVALID_ARGUMENT,
        f"the cluster name {'x' * 40!r}… has 50 characters; names of at most 5 are served",
    )


def test_what_is_new_is_looked_at() -> None:
    long = "too long a name"
    few = Subscription(ENDPOINT, names={"a", "b"})
    assert over_limit(few, Asked(added=frozenset("b")), TERMS) is None
    for asked in (Asked(added=frozenset([long])), Asked(again=frozenset([long]))):
        assert over_limit(few, asked, TERMS) == refused_name(ENDPOINT, long, TERMS)
    # What is dropped was never kept.
    assert over_limit(few, Asked(dropped=frozenset([long])), TERMS) is None
    many = over_limit(Subscription(ENDPOINT, names={"a", "b", "c"}), Asked(), TERMS)
    assert many == ProtocolError(Status.RESOURCE_EXHAUSTED, "more than 2 names of one type are too many")
