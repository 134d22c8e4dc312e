"""The command line: one module per group of commands, each a thin shell over planning functions and
stores.
"""
