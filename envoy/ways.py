"""The rules' parts in the order in which a request meets them: before Lua has read it and after, and what is
left where nobody decided.

`routes` fills the matcher of each class of traffic with one. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from envoy.match_branches import together
from envoy.matchers import PATH, Entry, Matcher, OnMatch, Predicate, entry, starts
from envoy.pending import PASSED, READ, UNREAD, needs_lua
from envoy.ruleset import Rule

Branches = Mapping[Rule, tuple[Entry, ...]]


@dataclass(frozen=True, slots=True)
class Way:
    """Where the rules lead requests of some manners, and what is left when none leads anywhere.

    `read` are the parts for requests that Lua has read; other parts only where somebody may be followed.
    """

    parts: Branches
    fallback: OnMatch
    read: Branches
    read_fallback: OnMatch

    def fill(self, matcher: Matcher, first: tuple[Entry, ...]) -> None:
        """Add it in place: made apart, every leaf would be copied once more.

        Rules before the first that needs Lua are asked of unread requests alone, and so only once. Rules that
        need it stand together behind one look at whether Lua was there: first why they were passed over, if
        any was, and then where requests end, in one map. A request in which no name was looked for can't be
        refused for one, and pays nothing for what follows.
        """
        unread, apart = bool(first), self.read is not self.parts
        for needed, group in groupby(self.parts, needs_lua):
            rules = list(group)
            found = [each for rule in rules for each in self.parts[rule]]
            if unread:
                _below(matcher, UNREAD, [*(() if needed else found), *first])
            elif found and not needed and apart:
                _below(matcher, UNREAD, found)
            elif found and not needed:
                matcher.matcher_list.matchers.extend(found)
            if needed:
                passed, ends = together(self.read[rule] for rule in rules)
                read = matcher.matcher_list.matchers.add(predicate=READ).on_match.matcher
                _below(read, PASSED, passed)
                if ends is not None:
                    read.on_no_match.CopyFrom(ends)
            elif apart and found and not unread:
                _below(matcher, READ, [each for rule in rules for each in self.read[rule]])
            unread = False
        if apart:
            _below(matcher, READ, [entry(starts(PATH, "/"), self.read_fallback)])
        matcher.on_no_match.CopyFrom(self.fallback)


def _below(matcher: Matcher, predicate: Predicate, entries: Iterable[Entry]) -> None:
    line = matcher.matcher_list.matchers.add(predicate=predicate)
    line.on_match.matcher.matcher_list.matchers.extend(entries)
