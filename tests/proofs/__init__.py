"""Long proofs at full size: each module is one, with `async def prove(steps: Steps) -> Mapping[str, Json]`.

`make prove` runs them. A proof fails by raising AssertionError, and returns the figures that it found.
"""
