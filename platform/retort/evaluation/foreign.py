"""Another system's TREC run, measured as ``evaluate`` measures the runs of a workspace."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retort.errors import DataError
from retort.formats.trec import read_trec_file
from retort.measures.ranking import per_turn_measures

__all__ = ["MeasuredRun", "measure_trec_file"]


@dataclass(frozen=True)
class MeasuredRun:
    """Another system's run, measured.

    Attributes:
        per_turn: query_id -> measure -> value, for every judged turn.
        run: query_id -> doc_id -> score.
        notes: What a reader of the figures must know: turns that the run lacks, and turns that the split does not have.
    """

    per_turn: dict[str, dict[str, float]]
    run: dict[str, dict[str, float]]
    notes: tuple[str, ...]


def measure_trec_file(
    path: Path,
    judgements: Mapping[str, Mapping[str, int]],
    *,
    split: str,
    known: Collection[str] = frozenset(),
    relevant_from: int = 1,
) -> MeasuredRun:
    """Measure another system's run as ``evaluate`` measures ours: every judged turn counts, one that is missing as 0.

    Args:
        path: The TREC run.
        judgements: query_id -> doc_id -> relevance.
        split: The split that the judgements are of, for messages.
        known: Turns of the split that may be in the run without being judged.
        relevant_from: Least relevance that counts as relevant in the measures that are not graded.

    Raises:
        DataError: If the file is broken, or none of its turns is judged.
    """
    run = read_trec_file(path)
    if not any(query_id in judgements for query_id in run):
        raise DataError(
            f"none of its {len(run)} query_ids ({_some(list(run))}) is a judged turn of {split} "
            f"(such as {next(iter(judgements))}); is the run of another split?",
            path=path,
        )
    notes = []
    if unknown := [query_id for query_id in run if query_id not in judgements and query_id not in known]:
        notes.append(f"query_ids that {split} does not have, left out: {len(unknown)} ({_some(unknown)})")
    if missing := [query_id for query_id in judgements if query_id not in run]:
        notes.append(f"judged turns that it lacks, counted 0: {len(missing)} of {len(judgements)} ({_some(missing)})")
    if not any(judged.keys() & run.get(query_id, {}).keys() for query_id, judged in judgements.items()):
        notes.append("it retrieves no judged passage at all; are its doc_ids those of the collection?")
    return MeasuredRun(per_turn_measures(judgements, run, relevance_level=relevant_from), run, tuple(notes))


def _some(query_ids: Sequence[str], most: int = 5) -> str:
    return ", ".join(query_ids[:most]) + (", ..." if len(query_ids) > most else "")
