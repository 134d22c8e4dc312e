from __future__ import annotations

from typing import Any

import pytest

from topology.fields import Fields, MalformedError, parse


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"not json", "no JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "Infinity is no number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"x": {"a": 1, "a": 2}}', "twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
    ],
)
def test_what_is_no_json_is_told(value: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        parse(value)


def test_json_is_read() -> None:
    assert parse('{"a": [1, true, null, "ä"]}'.encode()) == {"a": [1, True, None, "ä"]}


@pytest.mark.parametrize("value", [None, [], "text", 5, True])
def test_a_record_is_an_object(value: Any) -> None:
    with pytest.raises(MalformedError, match="is no JSON object"):
        Fields(value)


@pytest.mark.parametrize(
    ("method", "value", "words"),
    [
        ("integer", "5", "whole number"),
        ("integer", 5.0, "whole number"),
        ("integer", True, "whole number"),
        ("text", 5, "string"),
        ("boolean", 1, "true or false"),
        ("mapping", [], "JSON object"),
        ("state", "active", "is no state: use one of PROVISIONING"),
        ("state", 5, "string"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(method: str, value: Any, words: str) -> None:
    with pytest.raises(MalformedError, match=rf"^stamp\.at: .*{words}"):
        getattr(Fields({"at": value}, "stamp"), method)("at")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(MalformedError, match=r"^weight: is missing"):
        Fields({}).integer("weight")
    with pytest.raises(MalformedError, match=r"^drain: is missing"):
        Fields({}).optional("drain", lambda fields: fields)


def test_what_nobody_read_is_an_unknown_field() -> None:
    fields = Fields({"a": 1, "b": 2})
    fields.integer("a")
    with pytest.raises(MalformedError, match=r"^b: is no field"):
        fields.end()
    fields.integer("b")
    fields.end()


def test_lists_carry_their_place() -> None:
    with pytest.raises(MalformedError, match=r"^endpoints\[1\]\.port: is no whole number"):
        [
            each.integer("port")
            for each in Fields({"endpoints": [{"port": 1}, {"port": "2"}]}).each("endpoints")
        ]
    with pytest.raises(MalformedError, match=r"^endpoints\[0\]: is no JSON object"):
        list(Fields({"endpoints": [3]}).each("endpoints"))


def test_null_stands_for_nothing_where_it_may() -> None:
    fields = Fields({"drain": None, "previous": None, "other": {"a": 1}})
    assert fields.optional("drain", lambda each: each.integer("a")) is None
    assert fields.is_null("previous")
    assert fields.optional("other", lambda each: each.integer("a")) == 1
    assert not fields.is_null("absent")
    fields.end()
