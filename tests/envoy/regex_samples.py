"""Regular expressions and texts, for every engine that runs them: Python's own, our machine, RE2, Lua."""

from __future__ import annotations

from hypothesis import strategies as st

GITLAB = r"^glrtr?-(?<payload>[0-9A-Za-z_-]{27,300})\.01\.(?<payload_length>[0-9a-z]{2})[0-9a-z]{7}$"
VECTOR = "EL25d_AKXDUtqLnIQHEpkG86MQM.01.0r1ajj2i3"

ROWS: tuple[tuple[str, str, dict[str, str] | None], ...] = (
    ("a", "xay", {}),
    ("^a", "xa", None),
    ("a$", "ax", None),
    ("^$", "", {}),
    ("^$", "x", None),
    ("^(?P<x>a|ab)(?P<y>c|bcd)(?P<z>d*)$", "abcd", {"x": "a", "y": "bcd", "z": ""}),
    ("(?P<x>a*)(?P<y>a?)", "aaa", {"x": "aaa", "y": ""}),
    ("^(?P<x>a*?)(?P<y>a*)$", "aaa", {"x": "", "y": "aaa"}),
    ("^(?P<x>a{2,3})(?P<y>a{0,2})$", "aaaa", {"x": "aaa", "y": "a"}),
    ("^a{0,3}(?P<y>ab)?$", "aaab", {"y": "ab"}),
    ("^(?:(?P<x>a)|(?P<y>b))$", "b", {"y": "b"}),
    ("^(?:(?P<x>a)|b)*$", "ab", {"x": "a"}),
    ("(?P<cell>cell.*:)", "x cell-3:y:z", {"cell": "cell-3:y:"}),
    (r"^(?P<cell>cell-\d+)-", "cell-12-0123abcd", {"cell": "cell-12"}),
    (r"^(?P<cell>cell-\d+)-", "cell--", None),
    (r"[^a]", "a\xff", None),
    (".", "\xe9\n", None),
    (r"^[\w.-]+@[^@\s]+$", "a.b-c@d", {}),
    (r"^\[\]\\\^\$$", "[]\\^$", {}),
    ("^[-a]$", "-", {}),
    ("^[a-]$", "-", {}),
    ("^[+-]$", "-", {}),
    ("x(?P<n>y+?)", "axyyy", {"n": "y"}),
    ("^(?:ab|a)(?:bc)?$", "abc", {}),
    ("^(?:a|b|)c$", "c", {}),
    (GITLAB, f"glrt-{VECTOR}", {"payload": VECTOR[:27], "payload_length": "0r"}),
    (GITLAB, f"glrtr-{VECTOR}", {"payload": VECTOR[:27], "payload_length": "0r"}),
    (GITLAB, f"glrtx-{VECTOR}", None),
    (GITLAB, f"glrt-{VECTOR}x", None),
    (GITLAB, "glrt-" + "a" * 301 + VECTOR[27:], None),
)

ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", r"\.", "-", "[a-c]", "1"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    counts = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,3}", "*?", "+?", "??", "{1,3}?", ""])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, counts).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda part: f"(?P<NAME>{part})"),
    )


def _named(text: str) -> str:
    number = 0
    while "NAME" in text:
        text = text.replace("NAME", f"n{number}", 1)
        number += 1
    return text


REGEXES = st.tuples(
    st.sampled_from(["", "^"]),
    st.recursive(ATOMS, _grow, max_leaves=8).map(_named),
    st.sampled_from(["", "$"]),
).map("".join)
TEXTS = st.text(st.sampled_from("abc1-.\n?\xe9"), max_size=9)
