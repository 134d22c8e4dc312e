from __future__ import annotations

import pytest
import yaml

from cellplane.yaml_text import parse_yaml


def test_values_and_the_lines_they_stand_in() -> None:
    body, node = parse_yaml("a: 1\nb: [x, {c: 2}]\n")
    assert body == {"a": 1, "b": ["x", {"c": 2}]}
    assert isinstance(node, yaml.MappingNode)
    assert node.value[1][0].start_mark.line == 1
    assert parse_yaml("") == (None, None)
    assert parse_yaml("base: &b {x: 1}\nown: {<<: *b, x: 2}\n")[0]["own"] == {"x": 2}, (
        "a merge is no repetition"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []\nschema: 2\nrules: []\n", "'rules' is there twice: write it once"),
        ('{"a": {"b": 1, "b": 2}}', "'b' is there twice"),
        ("[" * 1000, "nested too deep"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(yaml.YAMLError, match=words):
        parse_yaml(text)
