"""What Envoy is told: rules, and the resources that a View becomes.

The bridge between topology and xds; it imports both.
"""
