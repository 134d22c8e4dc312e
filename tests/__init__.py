"""Everything that proves the project. `conftest.py` has the shared fixtures; CONTRIBUTING says which suite is for what."""
