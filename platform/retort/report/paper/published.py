"""The paper's questions and its published figures, the reference that our own rows stand beside.

Source of every figure: arXiv:2606.04650, TopiOCQA's development turns, Mistral as the teacher, SPLADE
(naver/splade-cocondenser-ensembledistil) as the student; RR is called MRR there. Where it gives no figure there is none here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from retort.sweeps.trial import Scalar

__all__ = ["DISCO", "MEASURES", "QUESTIONS", "REFERENCES", "SOURCE", "Published", "Question", "question_of"]

SOURCE: Final = "arXiv:2606.04650, TopiOCQA dev"
MEASURES: Final = ("RR", "R@10", "R@100", "nDCG@3", "FLOPS")  # in the paper's order

Published = Mapping[str, float]


def _row(rr: float, r10: float, r100: float, ndcg3: float, flops: float | None = None) -> Published:
    row = {"RR": rr, "R@10": r10, "R@100": r100, "nDCG@3": ndcg3}
    return row if flops is None else {**row, "FLOPS": flops}


DISCO: Final = _row(0.409, 0.676, 0.879, 0.396, 3.790)  # w 0, n 16, temperature 1, no regularisation

REFERENCES: Final[Mapping[str, Published]] = {
    "teacher: SPLADE on Mistral's rewrites": _row(0.372, 0.591, 0.762, 0.359),
    "SPLADE on the raw context": _row(0.151, 0.258, 0.510, 0.134),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One of the paper's grids.

    Attributes:
        space: The search space's name.
        key: The searched key that it is about.
        title: What a row's value is.
        baseline: The value of the row that the others are compared with.
        rows: The published figures by value.
    """

    space: str
    key: str
    title: str
    baseline: Scalar
    rows: Mapping[Scalar, Published]


QUESTIONS: Final = (
    Question(
        "paper_contrastive",
        "objective.contrastive_weight",
        "contrastive weight",
        0.0,
        {
            0.0: DISCO,
            0.05: _row(0.414, 0.687, 0.875, 0.400),
            0.1: _row(0.421, 0.673, 0.877, 0.408),
            0.2: _row(0.424, 0.676, 0.874, 0.412),
        },
    ),
    Question(
        "paper_samples",
        "sampling.count",
        "samples in the divergence",
        16,
        {
            1: _row(0.348, 0.613, 0.859, 0.326),
            8: _row(0.394, 0.657, 0.874, 0.381),
            16: DISCO,
            32: _row(0.410, 0.662, 0.874, 0.395),
            70: _row(0.395, 0.655, 0.860, 0.381),
        },
    ),
    Question("paper_sampling_strategy", "variant", "sampling strategy", "window", {"window": DISCO}),
    Question(
        "paper_regularization",
        "variant",
        "regularisation",
        "disco",
        {
            "disco": DISCO,
            "splade": _row(0.405, 0.659, 0.877, 0.391, 3.140),
            "high": _row(0.412, 0.667, 0.872, 0.398, 1.840),
            "higher": _row(0.412, 0.662, 0.859, 0.394, 1.370),
            "highest": _row(0.385, 0.619, 0.825, 0.371, 0.470),
        },
    ),
    Question(
        "paper_temperature",
        "objective.temperature",
        "temperature of the divergence",
        1.0,
        {0.5: _row(0.394, 0.655, 0.870, 0.379), 1.0: DISCO, 2.0: _row(0.411, 0.664, 0.873, 0.399)},
    ),
    Question("paper_teachers", "variant", "teachers", "mistral", {"mistral": DISCO}),
)


def question_of(name: str) -> Question | None:
    """The question that a sweep of this name asks, whatever profiles it was asked with; None: none of the paper's."""
    return next((question for question in QUESTIONS if question.space == name.partition("+")[0]), None)
