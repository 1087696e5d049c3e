"""The student's own hard negatives: what it retrieves at this moment, for every training turn.

A teacher's ranking says where a good query finds confusing passages; the student errs elsewhere. Its own ranking is retrieved
anew every so many steps (as ANCE does, arXiv:2007.00808), exactly, from the same index that evaluation reads.
"""

import os

import numpy as np
import torch
import torch.distributed

from retort.shards.reader import TrainingTurns
from retort.sparse.encoders.encoder import QueryEncoder, encode_ids
from retort.sparse.search.exact import ExactIndex
from retort.sparse.vectors import Int32

__all__ = ["NO_PASSAGE", "student_rankings"]

NO_PASSAGE = -1  # fills the rows of a turn that retrieves fewer passages than asked for


def student_rankings(
    student: QueryEncoder, turns: TrainingTurns, index: ExactIndex, *, depth: int, rank: int = 0, world: int = 1
) -> Int32:
    """Retrieve for every training turn with the student as it is; every worker does its share.

    Dropout is off for this, and on again after it where it was on.

    Args:
        student: The query encoder.
        turns: The training shard.
        index: Over the collection.
        depth: Passages per turn.
        rank: This worker among ``world``, counted from 0.
        world: Number of workers.

    Returns:
        (turns, depth) passage rows, best first, the same on every worker; ``NO_PASSAGE`` where there are fewer.
    """
    was_training = student.training
    student.eval()
    own = range(rank, len(turns), world)
    queries = encode_ids(student, [turns.input_ids(turn) for turn in own])
    student.train(was_training)
    threads = max(1, min(torch.get_num_threads(), os.cpu_count() or 1))
    rankings = np.full((len(turns), depth), NO_PASSAGE, dtype=np.int32)
    for turn, ranking in zip(own, index.search(queries, depth, threads=threads), strict=True):
        rankings[turn, : len(ranking.rows)] = ranking.rows
    if world > 1:
        shares: list[Int32] = [rankings] * world
        torch.distributed.all_gather_object(shares, rankings[rank::world])
        for number, share in enumerate(shares):
            rankings[number::world] = share
    return rankings
