"""Moves: an owner's way from one cell to another, step by step, kept so that any replica can go on with it.

`steps` has the order as a table, `machine` what becomes of a move, `runner` does it while it leads. Third
road: plans the `Txn`s; what Envoys must know of it comes back as an Event.
"""
