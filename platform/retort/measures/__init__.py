"""What a run is worth, and what it costs. Everything here is a function of plain arrays and mappings.

Import from the modules: what a measure is called must not cost the libraries that compute it.

- ``registry``: every measure's name, direction, title and digits.
- ``ranking``: measures of rankings by turn, their means, and means by turn number.
- ``sparsity``: FLOPS and L0 of sparse vectors.
- ``significance``: whether one run beats another on the same turns.
- ``pareto``: the non-dominated runs, and the area under them.
"""
