"""The command: composition root, command line, status pages, demo.

Everything that chooses an adapter (etcd or memory, real clock, real sockets) is here; the other packages
take what they are given.
"""
