"""What produces the figures of `docs/benchmarks.md`: `make bench NAME=…` runs one of these programs."""
