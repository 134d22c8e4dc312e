"""The Topology Service: GitLab's API and our own over one View, one claim store, one store of cells.

`server` listens, `gate` lets calls in, a module per service answers them. `Request -> ClassificationKey ->
Decision`, and the third road: a service call plans a `Txn`.
"""
