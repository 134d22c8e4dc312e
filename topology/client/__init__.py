"""For applications in a cell: claims around a local transaction, and the jobs that mend what a crash left.

`claims` calls the Topology Service, `reconcile` and `verify` say what the jobs have to do. Third road: who
asks for a `Txn`.
"""
