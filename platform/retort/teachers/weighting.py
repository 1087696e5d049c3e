"""How much each teacher counts, learned from judged turns: the weights under which the positives are likeliest.

T teachers, U candidates of one turn, P of them positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Judged", "Weighting", "learn_weights", "log_likelihood"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A turn to learn from: one that every teacher ranked, so that scores are linear in the weights.

    Attributes:
        scores: (T, U), scaled as before every softmax.
        positives: (P,) positions among the candidates.
    """

    scores: Float64
    positives: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Weighting:
    """The weights that were learned, and how likely they make the positives.

    Attributes:
        weights: One for each teacher, not negative; they add up to 1.
        log_likelihood: The mean over turns under these weights, in nats.
        uniform: The same mean under equal weights.
        turns: How many turns were learned from.
    """

    weights: tuple[float, ...]
    log_likelihood: float
    uniform: float
    turns: int


def log_likelihood(weights: Float64, turns: Sequence[Judged]) -> tuple[float, Float64]:
    r"""Mean log-likelihood of the positives, and its gradient by the weights.

    .. math::
        L(w) = \frac{1}{N} \sum_{turns} \frac{1}{P} \sum_{p} \Big( s_w(p) - \log \sum_d e^{s_w(d)} \Big),
        \qquad s_w(d) = \sum_T w_T s_T(d)

    Concave in w, for the scores are linear in it: there is one optimum, and no seed.

    Returns:
        The value in nats, and (T,) its gradient.
    """
    value, gradient = 0.0, np.zeros(len(weights))
    for turn in turns:
        fused = weights @ turn.scores  # (U,)
        highest = fused.max()
        shares = np.exp(fused - highest)
        total = shares.sum()
        whole = highest + np.log(total)
        expected = turn.scores @ (shares / total)  # (T,)
        value += float(fused[turn.positives].mean() - whole)
        gradient += turn.scores[:, turn.positives].mean(axis=1) - expected
    return value / len(turns), gradient / len(turns)


def learn_weights(turns: Sequence[Judged], teachers: int) -> Weighting:
    """Maximise the likelihood of the positives over the simplex (SLSQP from equal weights).

    Args:
        turns: Turns that are not trained on.
        teachers: T.

    Raises:
        ValueError: If there is no turn.
    """
    if not turns:
        raise ValueError("no turn to learn the teachers' weights from")
    equal = np.full(teachers, 1.0 / teachers)
    uniform, _ = log_likelihood(equal, turns)

    from scipy.optimize import LinearConstraint, minimize  # 0.5 s, which only learned fusion need take

    def loss(weights: Float64) -> tuple[float, Float64]:
        value, gradient = log_likelihood(weights, turns)
        return -value, -gradient

    optimum = minimize(
        loss,
        equal,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * teachers,
        constraints=LinearConstraint(np.ones((1, teachers)), 1.0, 1.0),
        options={"maxiter": 500, "ftol": 1e-10},
    )
    # Six places: what lies below is the optimiser's, and may differ between machines.
    weights = np.round(np.clip(optimum.x, 0.0, 1.0), 6)
    weights = weights / weights.sum()
    reached, _ = log_likelihood(weights, turns)
    if reached < uniform:  # it failed, which a concave problem gives little reason for
        weights, reached = equal, uniform
    return Weighting(tuple(float(w) for w in weights), reached, uniform, len(turns))
