"""The xDS protocol: snapshots, subscriptions, streams, the ADS server and the status of the fleet.

Knows no cells.
"""
