"""Everything that proves the project.

`conftest.py` has the shared fixtures; CONTRIBUTING says which suite grows for which change.
"""
