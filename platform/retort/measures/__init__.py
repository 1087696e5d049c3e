"""What a run is worth, and what it costs: ranking measures, sparsity, significance, and the front of both objectives.

Everything here is a function of plain arrays and mappings: who wants the measures needs no training stack.

- ``ranking``: R@100, R@10, RR and nDCG@3 by turn, their means, and means by turn number.
- ``sparsity``: FLOPS and L0 of sparse vectors.
- ``significance``: whether one run beats another on the same turns.
- ``pareto``: the non-dominated runs, and the area under them.
"""

from retort.measures.pareto import front_order, hypervolume, log_flops_hypervolume, non_dominated
from retort.measures.ranking import MEASURES, by_group, mean_measures, per_turn_measures
from retort.measures.significance import (
    bonferroni,
    bootstrap_by_conversation,
    bootstrap_totals_by_conversation,
    holm,
    paired_t_test,
    randomization_test,
)
from retort.measures.sparsity import activation_share, flops, l0, l0_per_row, per_query_flops

__all__ = [
    "MEASURES",
    "activation_share",
    "bonferroni",
    "bootstrap_by_conversation",
    "bootstrap_totals_by_conversation",
    "by_group",
    "flops",
    "front_order",
    "holm",
    "hypervolume",
    "l0",
    "l0_per_row",
    "log_flops_hypervolume",
    "mean_measures",
    "non_dominated",
    "paired_t_test",
    "per_query_flops",
    "per_turn_measures",
    "randomization_test",
]
