"""What Lua remembers of owners, in LuaJIT: for how long, how many, what it forgets, and when it asks."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from envoy.edge import Lookups
from envoy.forgetting import MOST
from envoy.lua_program import END_HEADER, Ends, key_state
from envoy.questions import ASKED, TOLD
from tests.envoy.lua_engine import LuaEngine, Stream
from tests.envoy.owners_rig import PATH
from tests.envoy.rule_documents import parsed
from topology.claims.generations import slot
from topology.claims.model import Bucket, BucketType

(RULE,) = parsed(PATH, reserved=["users"]).matches
STALE_SECONDS = 100
CAPACITY = 20


def slot_of(value: str) -> int:
    return slot(Bucket(BucketType.ROUTES, value))


@dataclass
class Worker:
    """One VM, and what it asks."""

    engine: LuaEngine = field(
        default_factory=lambda: LuaEngine(
            (RULE,),
            frozenset(),
            Lookups(endpoints=(), timeout_seconds=0.025, stale_seconds=STALE_SECONDS, remembered=CAPACITY),
            Ends(cells=("3", "7")),
        )
    )
    asked: list[str] = field(default_factory=list)

    def read(self, value: str) -> Stream:
        self.engine.now += 5  # no two requests in five milliseconds: it is told no news in the second one
        stream = self.engine.stream(((":path", f"/{value}"),))
        self.engine.decide(stream.handle, "v1")
        return stream

    def answer(self, stream: Stream, told: str | None) -> str:
        self.asked.append(stream.metadata[ASKED]["claims"])
        if told is not None:
            stream.metadata[TOLD] = {"owners": told}
        self.engine.decide_again(stream.handle, stream.metadata[ASKED]["claims"], "path")
        return said(stream)

    def get(self, value: str, told: str | None) -> str:
        """Send a request; where it asks, it is told this, or nothing in time."""
        stream = self.read(value)
        return said(stream) if ASKED not in stream.metadata else self.answer(stream, told)

    def asks(self, value: str) -> bool:
        return ASKED in self.read(value).metadata

    def later(self, seconds: float) -> None:
        self.engine.now += int(seconds * 1000)


def said(stream: Stream) -> str:
    found = stream.left[END_HEADER]
    return stream.state[key_state("path")] if found == "/" else found.removeprefix("path/")


def test_what_was_told_is_remembered_while_it_holds() -> None:
    worker = Worker()
    assert worker.get("acme", "3 1 60\n0 0 60") == "1:3"
    worker.later(59.9)
    assert worker.get("acme", None) == "1:3"
    assert worker.asked == ["path 1 0 acme\npath 3 0 acme"]
    worker.later(0.1)
    assert worker.get("acme", "3 1 60\n0 0 60") == "1:3"
    assert len(worker.asked) == 2


def test_that_nobody_owns_it_is_remembered_too() -> None:
    worker = Worker()
    assert worker.get("x", "0 0 5\n0 0 5") == "not_found"
    worker.later(4)
    assert not worker.asks("x")
    worker.later(1)
    assert worker.asks("x")


def test_the_second_name_is_not_asked_for_again_with_the_first() -> None:
    worker = Worker()
    worker.get("acme", "3 1 9\n0 0 60")
    worker.later(10)
    worker.get("acme", "3 1 9")
    assert worker.asked[1] == "path 1 0 acme"


def test_what_holds_for_no_time_decides_once() -> None:
    worker = Worker()
    assert worker.get("acme", "3 1 0\n0 0 0") == "1:3"
    assert worker.asks("acme")


def test_while_nobody_answers_what_is_over_is_used_for_a_time() -> None:
    worker = Worker()
    worker.get("acme", "3 1 60\n0 0 60")
    worker.later(61)
    assert worker.get("acme", None) == "1:3"
    worker.later(STALE_SECONDS)
    assert worker.get("acme", None) == "undecided"
    assert worker.get("other", None) == "undecided", "and what was never known is not made up"


def test_another_generation_means_to_ask_and_never_to_use_what_was_known() -> None:
    worker = Worker()
    worker.get("acme", "3 1 60\n0 0 60")
    worker.engine.generations[slot_of("acme")] = 12345678901
    assert worker.get("acme", None) == "undecided"
    assert worker.asked[-1].startswith("path 1 12345678901 acme")
    worker.later(10)
    assert worker.get("acme", "7 1 60\n0 0 60") == "1:7"
    assert not worker.asks("acme")


def test_an_answer_that_a_generation_overtook_is_not_kept() -> None:
    worker = Worker()
    stream = worker.read("acme")
    worker.engine.generations[slot_of("acme")] = 9
    assert worker.answer(stream, "3 1 60\n0 0 60") == "1:3"
    assert worker.asks("acme"), "it is older than the change"


def test_others_keep_what_they_know_when_one_slot_rises() -> None:
    worker = Worker()
    for value in ("acme", "web"):
        worker.get(value, "3 1 60\n0 0 60")
    assert slot_of("acme") != slot_of("web")
    worker.engine.generations[slot_of("web")] = 9
    assert (worker.asks("acme"), worker.asks("web")) == (False, True)


def test_a_flood_drops_no_name_that_is_asked_for_often() -> None:
    worker = Worker()
    worker.get("acme", "3 1 60\n0 0 60")
    for at in range(10 * CAPACITY):
        worker.get(f"flood-{at}", "0 0 60\n0 0 60")
        assert not worker.asks("acme")
    assert worker.asks("flood-0")
    memory = worker.engine.lua.globals().cellplane.memory
    assert len(list(memory.young)) + len(list(memory.old)) <= CAPACITY + 1


def test_long_names_are_asked_for_and_not_kept() -> None:
    worker = Worker()
    assert worker.get("x" * 256, "3 1 60\n0 0 60") == "1:3"
    assert worker.asks("x" * 256)


def test_a_server_that_hangs_is_soon_left_alone_and_tried_now_and_then() -> None:
    worker = Worker()
    for at in range(3):
        assert worker.get(f"x{at}", None) == "undecided"
        worker.later(0.03)
    assert not worker.asks("y")
    worker.later(0.2)
    assert worker.asks("y"), "one goes ahead"
    assert not worker.asks("z"), "the others wait for it"
    assert worker.get("z", None) == "undecided"
    worker.later(2.1)
    assert worker.get("y", "3 1 60\n0 0 60") == "1:3"
    assert worker.asks("z")
    assert worker.asks("a"), "it answers again, so all may ask"


def test_requests_that_fail_side_by_side_are_one_failure() -> None:
    worker = Worker()
    streams = [worker.read(f"x{at}") for at in range(50)]
    for stream in streams:
        worker.answer(stream, None)
    assert worker.asks("y")


def test_new_rules_keep_what_is_known() -> None:
    worker = Worker()
    worker.get("acme", "3 1 60\n0 0 60")
    engine = worker.engine
    engine.decide, engine.decide_again, _ = engine.lua.execute(engine.source)
    assert not worker.asks("acme")


@pytest.mark.parametrize("told", ["", "x", "3 1", "3 1 x\nnonsense"])
def test_an_answer_that_can_not_be_read_decides_nothing(told: str) -> None:
    assert Worker().get("acme", told) == "undecided"


def test_any_bytes_reach_the_server_as_they_are() -> None:
    worker = Worker()
    assert worker.get("a%20~_.-!", "3 1 60\n0 0 60") == "1:3"
    assert worker.asked[0].splitlines()[0] == "path 1 0 a%2520%7E_.-%21"
    assert not worker.asks("a%20~_.-!")


def test_slots_are_reckoned_alike() -> None:
    lua = Worker().engine
    for value in ("acme", "é", "x" * 300, "\x00\x7f"):
        assert lua.call("slot_of", f"ROUTES/{value}".encode().decode("latin-1")) == slot_of(value)


def test_a_worker_that_missed_more_than_is_told_forgets_all() -> None:
    worker = Worker()
    for value in ("acme", "web"):
        worker.get(value, "3 1 60\n0 0 60")
    others = [each for each in range(MOST + 9) if each not in (slot_of("acme"), slot_of("web"))]
    worker.engine.generations = {each: 100 + at for at, each in enumerate(others[: MOST - 1])}
    assert not worker.asks("acme"), "all that was moved is told, and it is others"
    worker.engine.generations |= {each: 9_000_000 + at for at, each in enumerate(others[: MOST + 1])}
    assert worker.get("acme", "7 1 60\n0 0 60") == "1:7"
    assert worker.asks("web"), "one revision more than is told"
    worker.engine.generations[others[0]] = 9_900_000
    assert not worker.asks("acme")


def test_a_store_put_back_is_known_by_its_smaller_numbers() -> None:
    worker = Worker()
    worker.engine.generations = {1: 500}
    worker.get("acme", "3 1 60\n0 0 60")
    worker.engine.generations = {1: 400}
    worker.later(5)
    assert worker.asks("acme")
    worker.get("acme", "7 1 60\n0 0 60")
    worker.engine.generations = {1: 400, slot_of("acme"): 450}
    assert worker.asks("acme"), "and what happens there counts, though 500 was heard of once"


def test_a_request_from_before_a_push_makes_nobody_forget() -> None:
    worker = Worker()
    older, newer = {1: 400}, {1: 400, 2: 500}
    for told in (older, newer):
        worker.engine.generations = told
        worker.get("acme", "3 1 60\n0 0 60")
    for _ in range(20):
        worker.later(1)
        worker.engine.generations = older
        assert not worker.asks("acme"), "it waited for an owner while the push came"
        worker.later(1)
        worker.engine.generations = newer
        assert not worker.asks("acme")


def test_nobody_is_asked_what_no_longer_matters() -> None:
    worker = Worker()
    worker.get("acme", "3 1 60\n0 0 5")
    worker.later(6)
    assert not worker.asks("acme"), "its second name is not looked at while the first leads to a cell"


def test_news_of_the_same_millisecond_is_heard_in_the_next() -> None:
    worker = Worker()
    worker.get("acme", "3 1 60\n0 0 60")
    worker.engine.generations[slot_of("acme")] = 9
    worker.engine.now -= 1
    assert not worker.asks("acme")
    assert worker.asks("acme")
