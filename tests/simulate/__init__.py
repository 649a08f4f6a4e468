"""Deterministic simulation of the scheduler: random graphs in a world that behaves badly, judged by a plain oracle.

    generate ──Scenario──► world (sources, sinks, clock) ◄──events, commands──► Scheduler
                             └─► crew ─► workers ─► transforms                       │
                             └─► checks: every step      oracle, runs: the outcome ◄─┘

A run is its seed: ``python -m tests.simulate --seed 17 --runs 1 --trace`` repeats it and prints every event and command.
"""
