"""The demo: etcd, control plane, stub cells and a real Envoy on one machine, and a tour that checks every
claim it makes.
"""
