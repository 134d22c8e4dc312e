"""What people may write about waves: how changes go out, and a word on the wave that is under way.

The Topology Service plans with it, the leader and the publishers obey. What can be written holds by itself; a
mistake is named by its field. Third road: a service call plans a `Txn`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from cellplane.pushes import EDGE
from cellplane.wave_record import (
    ORDER,
    SETTINGS,
    WAVE,
    Mode,
    WaveSettings,
    WaveState,
    Word,
    read_settings,
    wave_of,
)
from topology.model import Problem, Stamp
from topology.planning import Outcome, Plan, Refusal, plan_document
from topology.steps import Step, together
from topology.view import View

MOST_STAGES: Final = 20
MOST_QUERIES: Final = 20
_DAY: Final = 86_400.0
_MEANT: Final = {
    Word.ALL: "sends everything that waits to all nodes at once",
    Word.HALT: "takes the wave's nodes back to the last good state",
    Word.RETRY: "begins again with the first stage",
}


def plan_settings(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan how a group's changes go out; without a body, as if nothing had been set.

    Where waves are switched off, whatever waits for one goes out.
    """
    if problem := _group(name):
        return problem
    if body is None:
        return plan_document(view, SETTINGS, name, None, stamp)
    try:
        settings = read_settings(body)
    except (KeyError, TypeError, ValueError) as error:
        return _refused("body", f"is no way of delivery: {error!r}; `cellplane pushes waves set` writes one")
    if problems := tuple(settings_problems(settings)):
        return Refusal(problems=problems)
    steps = [
        Step("settings", partial(plan_document, kind=SETTINGS, name=name, body=settings.body(), stamp=stamp))
    ]
    if settings.mode is Mode.OFF:
        steps += [
            Step(kind, partial(plan_document, kind=kind, name=name, body=None, stamp=stamp))
            for kind in (WAVE, ORDER)
            if (kind, name) in view.documents
        ]
    return together(view, steps)


def plan_order(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan an operator's word on the wave of a group."""
    wave = wave_of(view, name)
    if body is None:
        return _refused("body", "an order is not taken back: give another one")
    if wave is None:
        return _group(name) or _refused("name", f"there is no wave: changes of {name} go to all at once")
    if body.get("wave") != wave.id:
        return _refused("wave", f"{body.get('wave')!r} is not the one that is there: that is {wave.id}")
    if body.get("word") not in [*Word]:
        return _refused("word", f"{body.get('word')!r} is none: use one of {', '.join(Word)}")
    word = Word(str(body["word"]))
    wanted = {Word.HALT: WaveState.GOING, Word.RETRY: WaveState.HALTED}.get(word, wave.state)
    if wave.state is not wanted:
        return _refused("word", f"wave {wave.id} is {wave.state}: {word} is for one that is {wanted}")
    plan = plan_document(view, ORDER, name, {"wave": wave.id, "word": word.value}, stamp)
    words = f"wave {wave.id}: {word}: {_MEANT[word]}"
    return replace(plan, summary=(words,)) if isinstance(plan, Plan) else plan


def settings_problems(settings: WaveSettings) -> Iterator[Problem]:
    """Say what is wrong with settings, each with its fix."""
    for field, least, most in (
        ("min_nodes", 1, 1_000_000),
        ("patience_seconds", 1, _DAY),
        ("lost_seconds", 0, _DAY),
        ("most_lost_percent", 0, 100),
        ("most_gone_percent", 0, 100),
    ):
        if not least <= getattr(settings, field) <= most:
            yield Problem(field=field, message=f"{getattr(settings, field):g}: give {least} to {most:g}")
    yield from _stage_problems(settings)
    yield from _query_problems(settings)


def _stage_problems(settings: WaveSettings) -> Iterator[Problem]:
    if not 1 <= len(settings.stages) <= MOST_STAGES:
        yield Problem(field="stages", message=f"are {len(settings.stages)}: give 1 to {MOST_STAGES}")
    before = -1.0
    for number, stage in enumerate(settings.stages):
        if not before < stage.percent < 100:
            message = (
                f"{stage.percent:g}: give rising shares, from 0 (canaries) to below 100; then all follow"
            )
            yield Problem(field=f"stages[{number}].percent", message=message)
        before = stage.percent
        if not 0 <= stage.bake_seconds <= _DAY:
            message = f"{stage.bake_seconds:g}: give 0 to {_DAY:g}"
            yield Problem(field=f"stages[{number}].bake_seconds", message=message)


def _query_problems(settings: WaveSettings) -> Iterator[Problem]:
    url = urlsplit(settings.prometheus)
    if settings.prometheus and (url.scheme not in {"http", "https"} or not url.netloc):
        message = f"{settings.prometheus!r} is no URL: write one like http://prometheus:9090"
        yield Problem(field="prometheus", message=message)
    if settings.queries and not settings.prometheus:
        yield Problem(field="prometheus", message="is missing: queries need one to ask")
    if len(settings.queries) > MOST_QUERIES:
        yield Problem(field="queries", message=f"are {len(settings.queries)}: give at most {MOST_QUERIES}")
    names = [query.name for query in settings.queries]
    for number, query in enumerate(settings.queries):
        if not query.name or names.count(query.name) > 1:
            yield Problem(field=f"queries[{number}].name", message="give each query a name of its own")
        if not query.expression.strip():
            yield Problem(field=f"queries[{number}].expression", message="is empty")
        if not math.isfinite(query.limit):
            yield Problem(
                field=f"queries[{number}].limit", message=f"{query.limit} is no limit: give a number"
            )


def _group(name: str) -> Refusal | None:
    return None if name == EDGE else _refused("name", f"{name!r} is no group with waves: name {EDGE!r}")


def _refused(field: str, message: str) -> Refusal:
    return Refusal(problems=(Problem(field=field, message=message),))
