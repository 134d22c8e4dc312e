from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.scopes import registry_scopes
from tests.envoy.lua_engine import LuaEngine

LUA = LuaEngine()
PIECES = (
    "repository",
    "(x)",
    "registry",
    ":",
    "/",
    "acme",
    "web.x",
    "pull",
    "push",
    ",",
    "*",
    "%",
    "%3A",
    "%2f",
)
TEXTS = st.lists(
    st.sampled_from((*PIECES, "%20", "%ff", "%0b", "%7f", "+", "&", "é", "\n", "")), max_size=16
).map("".join)


@pytest.mark.parametrize(
    ("text", "namespaces"),
    [
        ("repository:acme/web:pull", "acme"),
        ("repository%3Aacme%2Fweb%3Apull%2Cpush", "acme"),
        ("repository(plugin):acme/web/deep:pull", "acme"),
        ("repository:acme:pull&repository:globex/x:pull&repository:acme/y:pull", "acme globex"),
        ("repository:acme/web:pull+repository:globex/x:pull", "acme globex"),
        ("repository:acme/web:pull%20repository:globex/x:pull", "acme globex"),
        # What is only read beside a push is read as anybody reads it: a base image, a blob to mount.
        ("repository:library/alpine:pull&repository:acme/web:pull,push", "acme"),
        ("repository:a/x:push&repository:b/x:*&repository:c/x:pull", "a b"),
        ("repository:acme/web:", "acme"),
        ("registry:catalog:*&repository:acme/web:pull", "acme"),
    ],
)
def test_namespaces(text: str, namespaces: str) -> None:
    assert registry_scopes(text) == {"namespaces": namespaces}
    assert LUA.call("registry_scopes", text) == {"namespaces": namespaces}


@pytest.mark.parametrize("text", ["", "&", "+", "registry:catalog:*"])
def test_without_a_repository_there_is_nothing_to_say(text: str) -> None:
    assert registry_scopes(text) == {}
    assert LUA.call("registry_scopes", text) == {}


MALFORMED = (
    "acme",
    "repository:acme",
    "repository:acme/web:pull&x",
    "repository:%/x:pull",
    "repository:%4/x:pull",
    "repository:/x:pull",
    "repository:host:5000/x:pull",
    "repository:a%00b/x:pull",
    "repository:%C3%A9/x:pull",
    # An application that parts scopes by any white space sees two here.
    "repository:acme/web:pull%09repository:globex/x:pull",
    "repository:acme/web:pull%0Arepository:globex/x:pull",
    "repository:acme/web:pull%7F",
)


@pytest.mark.parametrize("text", MALFORMED)
def test_what_cannot_be_read_is_malformed(text: str) -> None:
    assert registry_scopes(text) is None
    assert LUA.call("registry_scopes", text) is None


@given(TEXTS)
def test_lua_reads_as_python_does(text: str) -> None:
    assert LUA.call("registry_scopes", text.encode().decode("latin-1")) == registry_scopes(
        text.encode().decode("latin-1")
    )
