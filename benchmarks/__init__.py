"""How fast olympipe_ng is, measured beside its peers in one run: ``python -m benchmarks``."""
