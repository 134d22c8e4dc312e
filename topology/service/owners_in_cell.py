"""Who has claims in a cell, counted without keeping everybody else waiting.

The services of transfers and of cells ask it. It answers from memory. `Request -> ClassificationKey ->
Decision`, read backwards: a cell's owners.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Final

from topology.claims.index import ClaimIndex, RecordQuery
from topology.claims.model import Subject
from topology.claims.owners import is_owner

_AT_A_STRETCH: Final = 2_000


async def owners_in(claims: ClaimIndex, cell_id: int) -> Counter[Subject]:
    """Count the claims of each owner that a cell has."""
    found: Counter[Subject] = Counter()
    query, more = RecordQuery(cell_id=cell_id, limit=_AT_A_STRETCH), True
    while more:
        records, more = claims.records(query)
        found.update(each.metadata.subject for each in records if is_owner(each.metadata.subject))
        if more:
            query = replace(query, after=records[-1].metadata.source.id)
            await asyncio.sleep(0)  # a cell of a million claims must not keep everybody else waiting
    return found
