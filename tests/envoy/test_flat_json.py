from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.flat_json import json_fields
from tests.envoy.json_samples import ROWS


@pytest.mark.parametrize(("text", "expected"), ROWS)
def test_fields_are_read_as_written(text: str, expected: dict[str, str] | None) -> None:
    assert json_fields(text) == expected


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.booleans())
def test_what_the_standard_writer_writes_is_read(body: dict[str, object], ascii_only: bool) -> None:
    def as_bytes(text: str) -> str:
        return text.encode().decode("latin-1")

    text = as_bytes(json.dumps(body, ensure_ascii=ascii_only))
    if len(text) > 8192:
        return
    expected = {
        as_bytes(name): as_bytes(value) if isinstance(value, str) else str(value)
        for name, value in body.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }
    assert json_fields(text) == expected


@given(st.text(st.sampled_from('{}[]",:\\ue0123456789-+.truefalsnlc \n\x00\xff'), max_size=30))
def test_it_takes_nothing_that_the_standard_reader_refuses(text: str) -> None:
    found = json_fields(text)
    if found is not None:
        assert isinstance(json.loads(text), dict)
