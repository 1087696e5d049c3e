"""Ranking measures by turn, through ir_measures (arXiv:2111.13466), and their means.

Which turns count is decided here and nowhere else, the way ir_measures and ``trec_eval -c`` decide it:

- a judged turn that the run misses counts 0, so that a run can't gain by staying silent;
- a judged turn without any relevant passage counts 0 too (the same for every run; leave its judgements out to exclude
  it, as for unanswerable turns);
- a turn of the run that has no judgements is ignored, and so is one whose judgements are an empty mapping.

Order within a turn is trec_eval's: scores are compared as float32, and equal ones by doc_id, the greater one first.
"""

import math
from collections.abc import Mapping, Sequence
from operator import index

import ir_measures

from retort.measures.registry import RANKING

__all__ = ["by_group", "mean_measures", "per_turn_measures"]


def per_turn_measures(
    judgements: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
    *,
    measures: Sequence[str] = RANKING,
    relevance_level: int = 1,
) -> dict[str, dict[str, float]]:
    r"""Value of each measure for each judged turn.

    .. math::
        \mathrm{R@k} = \frac{|rel \cap top_k|}{|rel|}, \quad \mathrm{RR} = \frac{1}{rank_1}, \quad
        \mathrm{nDCG@k} = \frac{\mathrm{DCG@k}}{\mathrm{DCG@k\ of\ the\ ideal\ ranking}}, \quad
        \mathrm{DCG@k} = \sum_{i=1}^{k} \frac{\max(relevance_i, 0)}{\log_2(i + 1)}

    rank_1 is the rank of the first relevant passage, without a cutoff.

    Args:
        judgements: query_id -> doc_id -> relevance.
        run: query_id -> doc_id -> score, greater is better.
        measures: Names in ir_measures' notation.
        relevance_level: Least relevance that counts as relevant in R and RR; nDCG takes the grades as they are.

    Returns:
        query_id -> measure -> value in [0, 1], in the order of ``judgements`` and of ``measures``.

    Raises:
        ValueError: If a measure is unknown, ``relevance_level`` is below 1, a relevance isn't an integer, or a score
            is not a number.
    """
    parsed = {name: _parse_measure(name, relevance_level) for name in measures}
    if not parsed:
        raise ValueError(f"measures is empty: name at least one, e.g. {', '.join(RANKING)}")
    judged = {query_id: _plain_judgements(query_id, docs) for query_id, docs in judgements.items() if docs}
    scored = {query_id: _plain_scores(query_id, run[query_id]) for query_id in judged if query_id in run}

    # ir_measures fills in the turns that the run misses, with the measure's default, which is 0.
    values = {
        (metric.query_id, metric.measure): metric.value
        for metric in ir_measures.iter_calc(list(dict.fromkeys(parsed.values())), judged, scored)
    }
    return {
        query_id: {name: float(values[query_id, measure]) for name, measure in parsed.items()} for query_id in judged
    }


def mean_measures(per_turn: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean of each measure over the turns, and the number of turns as ``n``.

    Args:
        per_turn: query_id -> measure -> value; every turn with the same measures.

    Returns:
        Measure -> mean, in the measures' own unit, and ``n``. Independent of the turns' order, to the last bit.

    Raises:
        ValueError: If there is no turn, turns differ in their measures, or a measure is called ``n``.
    """
    if not per_turn:
        raise ValueError("there is no turn to average: do the judgements hold any, and under the run's query_ids?")
    names = next(iter(per_turn.values())).keys()
    if "n" in names:
        raise ValueError("a measure is called 'n', which is the number of turns: rename it")
    for query_id, values in per_turn.items():
        if values.keys() != names:
            raise ValueError(f"turn {query_id!r} has the measures {sorted(values)}, others have {sorted(names)}")
    means = {name: math.fsum(values[name] for values in per_turn.values()) / len(per_turn) for name in names}
    return {**means, "n": len(per_turn)}


def by_group(per_turn: Mapping[str, Mapping[str, float]], group: Mapping[str, int]) -> dict[int, dict[str, float]]:
    """Means over groups of turns, such as the turns with the same turn_number.

    Args:
        per_turn: query_id -> measure -> value; any value of a turn will do, L0 and FLOPS included.
        group: query_id -> group; may hold turns that ``per_turn`` doesn't.

    Returns:
        Group -> what :func:`mean_measures` gives for its turns, ``n`` included; groups ascend.

    Raises:
        ValueError: If a turn has no group, or :func:`mean_measures` refuses a group's turns.
    """
    ungrouped = [query_id for query_id in per_turn if query_id not in group]
    if ungrouped:
        raise ValueError(
            f"{len(ungrouped)} of {len(per_turn)} turns have no group, the first is {ungrouped[0]!r}: "
            "are the groups of the same split?"
        )
    members: dict[int, dict[str, Mapping[str, float]]] = {}
    for query_id, values in per_turn.items():
        members.setdefault(group[query_id], {})[query_id] = values
    return {number: mean_measures(members[number]) for number in sorted(members)}


def _parse_measure(name: str, relevance_level: int) -> ir_measures.Measure:
    """The measure of that name, with the relevance level where it has one and the name doesn't set it itself."""
    if relevance_level < 1:
        raise ValueError(f"relevance_level must be at least 1, got {relevance_level}; 0 means judged not relevant")
    try:
        measure = ir_measures.parse_measure(name)
        measure.validate_params()  # type: ignore[no-untyped-call]
    except (AssertionError, NameError, ValueError) as error:
        raise ValueError(f"unknown measure {name!r} ({error}); use for example {', '.join(RANKING)}") from error
    if measure.params.get("cutoff", 1) < 1:
        raise ValueError(f"the cutoff of {name!r} must be at least 1")
    if "rel" in measure.SUPPORTED_PARAMS and "rel" not in measure.params:
        measure = measure(rel=relevance_level)
    return measure


def _plain_judgements(query_id: str, docs: Mapping[str, int]) -> dict[str, int]:
    """A dict of Python integers, which is all that pytrec_eval reads."""
    try:
        return {doc_id: index(relevance) for doc_id, relevance in docs.items()}
    except TypeError as error:
        raise ValueError(
            f"a relevance of turn {query_id!r} is no integer ({error}): round or map the grades"
        ) from error


def _plain_scores(query_id: str, docs: Mapping[str, float]) -> dict[str, float]:
    """A dict of Python floats, which is all that pytrec_eval reads; copied only where it isn't one already."""
    scores = docs if isinstance(docs, dict) else dict(docs)
    if not set(map(type, scores.values())) <= {float, int}:
        scores = {doc_id: float(score) for doc_id, score in scores.items()}
    # One sum finds the NaN of a turn at C speed; infinities may make one as well, hence the second look.
    if math.isnan(sum(scores.values())):
        for doc_id, score in scores.items():
            if math.isnan(score):
                raise ValueError(
                    f"the score of {doc_id!r} for turn {query_id!r} is NaN, which has no rank: drop it, or look for "
                    "an overflow in the encoder"
                )
    return scores
