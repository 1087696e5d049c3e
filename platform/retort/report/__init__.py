"""What a user reads: the front of a sweep and the comparison of runs, as tables, plots and JSON from plain values.

- ``points``: a trial as the reports see it, and how its figures are written.
- ``front``: the front's table and JSON.
- ``plots``: the front as a PNG and as a self-contained interactive page.
- ``figures``, ``figures_page``, ``figures_files``: figures as values, in a browser and as PNG and SVG.
- ``sweep_*``: the report of one sweep: what is in it, its figures, its page.
- ``compare``, ``groups``, ``changed``: runs against a baseline on the same turns, with significance, by groups of turns, and the
  turns that changed most; ``systems``, ``runs``: what is compared; ``comparison_*``, ``latex``: for the terminal and for files.
- ``sweeps``, ``evaluated``: sweeps as their files say, and their runs measured on one split.
- ``grid``, ``published``, ``claims``, ``paper*``: the paper's grids beside its figures, and what they say of its claims.
- ``recipe*``: fronts of several recipes against each other, seed by seed.
"""

from retort.report.compare import ComparisonRow, compare
from retort.report.comparison_tables import compare_table
from retort.report.front import front_json, front_rows, front_table
from retort.report.plots import plot_front_png, write_front_html
from retort.report.points import TrialPoint

__all__ = [
    "ComparisonRow",
    "TrialPoint",
    "compare",
    "compare_table",
    "front_json",
    "front_rows",
    "front_table",
    "plot_front_png",
    "write_front_html",
]
