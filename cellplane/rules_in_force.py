"""Which ruleset is in force: the newest that could be read, and what is wrong with a newer one.

The publisher reads each View through it. Where the store holds a ruleset that nobody can read and no earlier
one is known, there is none in force: the built-in one would send owned traffic to whoever.
"""

from __future__ import annotations

import logging

from envoy.rules import DEFAULT_RULESET, Ruleset, parse_ruleset
from topology.view import View

log = logging.getLogger("cellplane.rules")

KIND, NAME = "rules", "current"


class RulesInForce:
    """Remembers the last good ruleset of the Views that it was shown."""

    def __init__(self) -> None:
        self.ruleset: Ruleset | None = None
        self.problem = ""
        self._document: object = None
        self._unreadable: object = None
        self._has_read = False

    def read(self, view: View) -> None:
        """Take the View's ruleset, or name what is wrong with it and keep the last good one."""
        document = view.documents.get((KIND, NAME))
        unreadable = view.quarantined.get(view.keyspace.document(KIND, NAME))
        if document is self._document and unreadable is self._unreadable and self._has_read:
            return
        problem = unreadable.reason if unreadable is not None else ""
        if document is None:
            if unreadable is None:
                self.ruleset = DEFAULT_RULESET
        elif document is not self._document:
            outcome = parse_ruleset(document.body)
            if isinstance(outcome, Ruleset):
                self.ruleset = outcome
            else:
                problem = "; ".join(str(each) for each in outcome)
        self._document, self._unreadable, self._has_read = document, unreadable, True
        self.problem = problem
        if problem:
            stands = "the last good one stands" if self.ruleset else "none is in force"
            log.error("rules_refused revision=%d problem=%s; %s", view.revision, problem, stands)
