"""An xDS management server library: snapshots, subscriptions, streams, a server and the fleet's status.

It stands on the line `etcd Event -> View -> Snapshot -> Response` at its last two nouns: hand it a Snapshot
per node group, and it tells every Envoy of that group what changed. It knows no cells and no etcd, and can be
used alone: others import from `xds.library`. Nothing is imported here, so that the pure modules stay free of
grpc and asyncio.
"""
