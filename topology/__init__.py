"""What is where, and who owns what: the model of the cells, its View, and the store it lives in.

Knows neither xDS nor Envoy.
"""
