"""What a step weighs its terms and its penalty with: fixed, by a schedule, or learned from what earlier steps measured.

``Adaptation`` is the one state of a training beside weights and optimiser. It sees sums over the whole batch alone, so that it
is the same on every worker and for any accumulation, and it is kept with the training's state, so that a resumed training
goes on as if it had never stopped.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from retort.config import ExperimentConfig, ObjectiveConfig
from retort.sparse.objective.schedules import ramp, transition

__all__ = ["TERMS", "Adaptation", "Weights", "fixed_weights"]

TERMS: Final = ("kld", "margin_mse", "contrastive", "representation")

VARIANCE_RATE = 0.05  # gradient steps on the log variances: from equal weights they settle within two hundred steps
NORM_DECAY = 0.9  # of the running mean of gradient norms: ten batches, since one batch's norm varies by half
PROBES = 33  # measurements of FLOPS in a training that keeps a budget, at least; up to twice as many in a short one
DUAL_RATE = 0.4  # on the log of the weight, per probe and per log unit that FLOPS are above the budget
DUAL_DAMPING = 1.5  # the weight answers to the present excess as well, without which it would swing about the budget
# Terms that a penalty has removed hardly come back (nothing flows through a ReLU that is shut), so the ascent comes from above
# and aims a little above; what is left to cut is the smallest entries, by a threshold, when training is over.
AIM = 1.1


@dataclass(frozen=True, slots=True)
class Weights:
    """The loss's weights at one step.

    Attributes:
        terms: Weight of each of ``TERMS``.
        queries: Weight of the sparsity penalty on queries.
        passages: Weight of the FLOPS penalty on trained passages.
    """

    terms: Mapping[str, float]
    queries: float
    passages: float = 0.0


def fixed_weights(objective: ObjectiveConfig, *, step: int, total_steps: int) -> dict[str, float]:
    """Weight of each of ``TERMS`` at a step, by configuration and schedule alone."""
    contrastive = transition(
        step,
        total_steps=total_steps,
        start=objective.contrastive_start,
        end=objective.contrastive_weight,
        kind=objective.contrastive_schedule,
    )
    weights = dict.fromkeys(TERMS, 0.0)
    weights["contrastive"] = contrastive
    weights["margin_mse"] = objective.margin_mse_weight
    weights["representation"] = objective.representation_weight
    if objective.divergence != "none":
        weights[objective.divergence] = 1.0 - contrastive
    return weights


class Adaptation:
    """Weights of the loss's terms and of its penalty, step by step.

    Args:
        config: The experiment.
        total_steps: How many steps the whole training has.
    """

    def __init__(self, config: ExperimentConfig, total_steps: int) -> None:
        self._config = config
        self._total_steps = total_steps
        start = fixed_weights(config.objective, step=0, total_steps=total_steps)
        self._log_variances = {name: -math.log(weight) for name, weight in start.items() if weight > 0}
        self._norms: dict[str, float] = {}
        self._log_strength = math.log(config.regularization.query_weight or 1.0)
        self._flops: float | None = None
        self._first_flops: float | None = None

    def at(self, step: int) -> Weights:
        """All weights at a step."""
        return Weights(self.weights(step), self.strength(step), self.passage_strength(step))

    def weights(self, step: int) -> dict[str, float]:
        r"""Weight of each of ``TERMS`` at a step.

        - fixed: as configured and scheduled.
        - uncertainty: :math:`e^{-s_i}` with the learned log variances of Kendall et al. (arXiv:1705.07115).
        - gradient_norm: :math:`w_i / \lVert \partial L_i / \partial q \rVert`, so that each term's share of the gradient that
          reaches the query vectors is its configured weight: GradNorm's aim (arXiv:1711.02257) where all terms meet in one
          layer and no second backward pass is needed.

        Adaptive weights are scaled to the sum of the fixed ones: a penalty's weight then means the same beside them.
        """
        fixed = fixed_weights(self._config.objective, step=step, total_steps=self._total_steps)
        kind = self._config.objective.weighting
        if kind == "uncertainty":
            adapted = {name: math.exp(-s) for name, s in self._log_variances.items()}
        elif kind == "gradient_norm":
            norms = {name: self._norms[name] for name, weight in fixed.items() if weight > 0 and name in self._norms}
            if any(weight > 0 and norms.get(name, 0.0) <= 0 for name, weight in fixed.items()):
                return fixed  # not all terms have been seen yet
            adapted = {name: fixed[name] / norm for name, norm in norms.items()}
        else:
            return fixed
        scale = sum(fixed.values()) / sum(adapted.values())
        return {name: scale * adapted.get(name, 0.0) for name in TERMS}

    def strength(self, step: int) -> float:
        """Weight of the sparsity penalty at a step: ramped, or what keeps the budget."""
        settings = self._config.regularization
        reached = ramp(step, total_steps=self._total_steps, fraction=settings.ramp_fraction, kind=settings.ramp)
        if settings.flops_budget is None:
            return reached * settings.query_weight
        excess = 0.0 if self._flops is None else self._excess(step, self._flops)
        return reached * math.exp(self._log_strength + DUAL_DAMPING * excess)

    def passage_strength(self, step: int) -> float:
        """Weight of the FLOPS penalty on trained passages at a step: ramped as the queries' is."""
        settings = self._config.regularization
        reached = ramp(step, total_steps=self._total_steps, fraction=settings.ramp_fraction, kind=settings.ramp)
        return reached * settings.passage_weight

    def observe(self, step: int, measured: Mapping[str, float]) -> None:
        """Learn from a step: the whole batch's terms, and their gradient norms as ``gradient_<term>``."""
        kind = self._config.objective.weighting
        if kind == "uncertainty":
            for name, log_variance in self._log_variances.items():
                # The gradient of e^-s L + s / 2.
                slope = 0.5 - math.exp(-log_variance) * measured[name]
                self._log_variances[name] = log_variance - VARIANCE_RATE * max(-1.0, slope)
        elif kind == "gradient_norm":
            for name in TERMS:
                norm = measured[f"gradient_{name}"]
                if norm > 0:
                    before = self._norms.get(name, norm)
                    self._norms[name] = NORM_DECAY * before + (1.0 - NORM_DECAY) * norm

    def wants_flops(self, step: int) -> bool:
        """Whether the student's FLOPS shall be measured before this step: a budget is kept, and it is time."""
        every = max(1, self._total_steps // PROBES)
        return self._config.regularization.flops_budget is not None and step % every == 0

    def observe_flops(self, step: int, flops: float) -> None:
        """Learn from the student's FLOPS over the same turns as ever, without dropout: one step of dual ascent."""
        self._flops = max(flops, 1e-6)
        self._first_flops = self._first_flops or self._flops
        self._log_strength += DUAL_RATE * self._excess(step, self._flops)

    def _excess(self, step: int, flops: float) -> float:
        """How far FLOPS are above this step's target, as a log.

        The target falls from the untrained student's FLOPS to the budget along the ramp: asked for all of it at once, the
        weight would run up before the student has learned what to match.
        """
        settings = self._config.regularization
        assert settings.flops_budget is not None
        reached = ramp(step, total_steps=self._total_steps, fraction=settings.ramp_fraction, kind=settings.ramp)
        aim = AIM * settings.flops_budget
        target = (1.0 - reached) * math.log(max(self._first_flops or flops, aim)) + reached * math.log(aim)
        return math.log(flops) - target

    def state(self) -> dict[str, object]:
        """All that was learned, as plain data."""
        return {
            "log_variances": dict(self._log_variances),
            "norms": dict(self._norms),
            "log_strength": self._log_strength,
            "flops": self._flops,
            "first_flops": self._first_flops,
        }

    def load(self, state: Mapping[str, object]) -> None:
        """Go on from what ``state`` gave."""
        for name, value in state.items():
            setattr(self, f"_{name}", value)
