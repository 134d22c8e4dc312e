"""Claims: who owns what. Values and rules, how they are kept, and an index that answers from memory.

`rules` decides, `plan` spells the decision as transactions, `stored` commits them, `index` folds what came of
it. Third road: a service call plans a `Txn`; `Request -> ClassificationKey -> Decision` asks the index.
"""
