"""What a student's queries cost over training turns, and the threshold that makes them cost no more than a budget.

Both are measured without dropout and over a fixed sample of turns: a batch's FLOPS vary by a factor of two with the lengths
that it happens to hold, and dropout activates entries that the student alone would not.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed

from retort.shards.reader import TrainingTurns
from retort.sparse.encoders.encoder import QueryEncoder, encode_ids
from retort.sparse.objective.sampling import turn_generator
from retort.sparse.vectors import SparseVectors

__all__ = ["fit_threshold", "probe_turns", "student_flops", "threshold_for_budget"]

PROBE_TURNS = 48  # without gradients these cost as much as a step of 16
FIT_TURNS = 4096  # one in a thousand FLOPS is then known; all turns where there are fewer


def probe_turns(turns: TrainingTurns, *, seed: int, count: int = PROBE_TURNS) -> list[int]:
    """A fixed random sample of training turns."""
    generator = turn_generator(seed, 0, "turns that FLOPS are measured over")
    return sorted(generator.permutation(len(turns))[:count].tolist())


def _encoded(student: QueryEncoder, turns: TrainingTurns, numbers: list[int]) -> SparseVectors:
    was_training = student.training
    student.eval()
    queries = encode_ids(student, [turns.input_ids(turn) for turn in numbers])
    student.train(was_training)
    return queries


def student_flops(
    student: QueryEncoder,
    turns: TrainingTurns,
    numbers: list[int],
    passage_share: npt.NDArray[np.float64],
    *,
    rank: int = 0,
    world: int = 1,
) -> float:
    r"""FLOPS of the student over some turns, :math:`\sum_j p_q(j) p_d(j)`; every worker encodes its share of them."""
    own = numbers[rank::world]
    cost = torch.tensor(float(passage_share[_encoded(student, turns, own).indices].sum()) if own else 0.0)
    if world > 1:
        cost = cost.to(next(student.parameters()).device)
        torch.distributed.all_reduce(cost)
    return float(cost) / len(numbers)


def threshold_for_budget(queries: SparseVectors, passage_share: npt.NDArray[np.float64], budget: float) -> float:
    """The least threshold under which these queries' FLOPS are within a budget.

    Args:
        queries: (Q, V).
        passage_share: (V,), p_d.
        budget: FLOPS.

    Returns:
        0 where they are within it already; else the largest weight that has to go: entries up to it are cut.
    """
    costs = passage_share[queries.indices] / max(1, len(queries))
    excess = costs.sum() - budget
    if excess <= 0:
        return 0.0
    order = np.argsort(queries.values, kind="stable")
    last = int(np.searchsorted(np.cumsum(costs[order]), excess))
    return float(queries.values[order[min(last, len(order) - 1)]])


def fit_threshold(
    student: QueryEncoder, turns: TrainingTurns, passage_share: npt.NDArray[np.float64], budget: float, *, seed: int
) -> None:
    """Give a trained student the threshold that keeps a budget over (a sample of) its training turns."""
    queries = _encoded(student, turns, probe_turns(turns, seed=seed, count=FIT_TURNS))
    threshold = max(student.limits.threshold, threshold_for_budget(queries, passage_share, budget))
    student.limits = replace(student.limits, threshold=threshold)
