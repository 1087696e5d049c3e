"""The teachers' weights for learned fusion, from the training conversations that ``corpus.validate`` holds out.

Those turns have rankings as all of their split have, and no student sees them. There are as many unknowns as teachers:
2,000 turns and the first 200 passages of each ranking are enough, and bound memory to 100 MB with five teachers.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from retort.config import ExperimentConfig
from retort.errors import DataError
from retort.records import Turn
from retort.shards.positives import ranked_turns, scores_of_positives
from retort.shards.rankings import CHUNK_TURNS, chunk_file
from retort.shards.reader import Collection
from retort.storage import Folder
from retort.teachers.fusion import dense_scores
from retort.teachers.weighting import Judged, Weighting, learn_weights

__all__ = ["CANDIDATES", "TURNS", "weights_of_teachers"]

TURNS = 2_000
CANDIDATES = 200


def weights_of_teachers(
    experiment: ExperimentConfig,
    turns: Sequence[Turn],
    held_out: dict[str, list[int]],
    collection: Collection,
    rankings: dict[str, Folder],
) -> Weighting:
    """Learn the weights of an experiment's teachers.

    Args:
        experiment: Names the teachers, and the scale of scores before a softmax.
        turns: All of the training split, in its order.
        held_out: Rows of the positives by query_id, of the held-out turns that have any.
        collection: The passages.
        rankings: Each teacher's.

    Raises:
        DataError: If no held-out turn with a positive was ranked by every teacher.
    """
    # By a hash rather than the first ones: conversations of one kind may stand together.
    chosen = set(sorted(held_out, key=lambda query_id: hashlib.blake2b(query_id.encode()).digest())[:TURNS])
    judged: list[Judged] = []
    for chunk, first in enumerate(range(0, len(turns), CHUNK_TURNS)):
        here = [turn.query_id for turn in turns[first : first + CHUNK_TURNS] if turn.query_id in chosen]
        if not here:
            continue
        file, depth = chunk_file(chunk, "parquet"), min(CANDIDATES, experiment.teacher.top_k)
        ranked = [ranked_turns(rankings[name], file, depth) for name in experiment.teacher.names]
        for query_id in here:
            rows = held_out[query_id]
            if all(query_id in of_teacher for of_teacher in ranked):
                mine = [of_teacher[query_id] for of_teacher in ranked]
                own = [np.array(scores_of_positives(collection, rows, ranking)[0]) for ranking in mine]
                pairs = [(np.array(r["passage_rows"]), np.array(r["scores"])) for r in mine]
                candidates, scores = dense_scores(pairs, np.array(rows), own)
                judged.append(
                    Judged(scores * experiment.encoder.score_scale, np.searchsorted(candidates, np.array(rows)))
                )
    if not judged:
        raise DataError(
            f"teacher.fusion=learned: none of {len(held_out):,} held-out turns with a positive was ranked by all of "
            f"{', '.join(experiment.teacher.names)}; hold out a larger share, or use another fusion"
        )
    return learn_weights(judged, len(experiment.teacher.names))
