"""What a user reads: a sweep's front and report, runs beside each other, the paper's questions, families of sweeps.

- ``render``: drawings and tables as values, and what writes them.
- ``sweep``: the report of one sweep: its front, what each setting did, turns by number, how to run it again.
- ``comparison``: runs against a baseline on the same turns, with significance, groups of turns, and turns that changed.
- ``paper``: the paper's grids beside its published figures, and what they say of its claims.
- ``families``: families of sweeps against each other, seed by seed.
- ``views``: what commands show of one thing: a turn, an answer, an evaluation, latency.
- ``evaluated``: the runs of sweeps, measured on one split.
"""
