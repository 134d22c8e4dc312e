"""Which transactions may be one: those whose outcome is the same, whichever of them comes first.

`group_commit` asks it of the transactions that wait. A store judges all compares of such a group before it
writes anything, and writes each key once. It does no I/O. Third road: several `Txn`s as one.
"""

from __future__ import annotations

from typing import Final

from topology.store import MAX_TXN_BYTES, MAX_TXN_OPERATIONS, Txn

_FRAME: Final = 40  # bytes around a key on the wire


class Group:
    """Transactions that touch nothing of each other's: what one writes, no other compares or writes.

    Several may compare the same key, and several may delete it where none compares it.
    """

    def __init__(self) -> None:
        self.txns: list[Txn] = []
        self._compared: set[str] = set()
        self._put: set[str] = set()
        self._deleted: set[str] = set()
        self._most = 0
        self._weight = 0

    def admits(self, txn: Txn) -> bool:
        """Take a transaction in, if it may go with those that are there."""
        # A transaction within one has as many operations as it is allowed, less those of the outer one.
        most = max(self._most, len(txn.compares), len(txn.puts) + len(txn.deletes))
        weight = self._weight + _weight(txn)
        if self.txns and (weight > MAX_TXN_BYTES or most + len(self.txns) + 1 > MAX_TXN_OPERATIONS):
            return False
        compared = {each.key for each in txn.compares}
        put, deleted = {key for key, _ in txn.puts}, set(txn.deletes)
        if (
            not compared.isdisjoint(self._put)
            or not compared.isdisjoint(self._deleted)
            or not put.isdisjoint(self._compared)
            or not put.isdisjoint(self._put)
            or not put.isdisjoint(self._deleted)
            or not deleted.isdisjoint(self._compared)
            or not deleted.isdisjoint(self._put)
        ):
            return False
        self.txns.append(txn)
        self._compared |= compared
        self._put |= put
        self._deleted |= deleted
        self._most, self._weight = most, weight
        return True


def _weight(txn: Txn) -> int:
    """Count the bytes in the request: a compared key is read too, where the compare fails."""
    compares = sum(2 * len(each.key) for each in txn.compares) + 2 * _FRAME * len(txn.compares)
    puts = sum(len(key) + len(value) for key, value in txn.puts)
    return compares + puts + sum(map(len, txn.deletes)) + _FRAME * (len(txn.puts) + len(txn.deletes))
