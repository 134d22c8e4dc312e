from __future__ import annotations

import pytest

from envoy.request import Request, host_name, query_values, without_dot


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/", ()),
        ("/?", ()),
        ("/?q", ("",)),
        ("/?q=", ("",)),
        ("/?q=1", ("1",)),
        ("/?q=1=2", ("1=2",)),
        ("/?q=1?q=2", ("1?q=2",)),
        ("/?a&q=%31&b", ("%31",)),
        ("/?q=1&q=2", ("1", "2")),
        ("/?Q=1&xq=2&q.=3", ()),
        ("/q=1", ()),
    ],
)
def test_query(path: str, values: tuple[str, ...]) -> None:
    assert query_values(path, "q") == values


def test_headers_are_joined_and_cookies_found() -> None:
    request = Request(headers=(("Cookie", "a=1; b=2"), ("X", " y "), ("cookie", "a=3")))
    assert request.header("x") == "y"
    assert request.header("z") is None
    assert request.header("cookie") == "a=1; b=2; a=3"
    assert request.cookies("a") == ("1", "3")
    assert request.cookies("b") == ("2",)
    assert request.cookies("c") == ()


def test_of_a_header_that_envoy_keeps_at_hand_what_is_empty_is_left_out() -> None:
    lines = (("private-token", ""), ("Private-Token", "a"), ("private-token", " "), ("private-token", "b"))
    assert Request(headers=lines).header("private-token") == "a,b"
    assert Request(headers=lines[:1]).header("private-token") == ""
    assert Request(headers=(("x", ""), ("x", "a"))).header("x") == ",a", "of others it counts"


def test_a_host_is_in_small_letters_and_without_its_port() -> None:
    given = {
        "A.b:80": "a.b",
        "a.b:": "a.b",
        "a.b:80x": "a.b:80x",
        "[::1]:80": "[::1]",
        "": "",
        "\xc9.b": "\xc9.b",
    }
    assert {text: host_name(text) for text in given} == given


@pytest.mark.parametrize(
    ("authority", "found"),
    [
        ("www.example.", "www.example"),
        ("www.example.:80", "www.example:80"),
        ("www.example.:", "www.example:"),
        ("www.example..", "www.example."),
        ("www.example:80.", "www.example:80"),
        ("www.example:80", "www.example:80"),
        (".", ""),
        (".:80", ":80"),
        ("", ""),
        ("[::1]:80", "[::1]:80"),
    ],
)
def test_the_dot_at_the_end_of_a_whole_name_goes(authority: str, found: str) -> None:
    assert without_dot(authority) == found
