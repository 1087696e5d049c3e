"""Which turns make a batch: a function of seed and epoch alone, whatever the number of workers."""

from collections.abc import Sequence

import numpy as np

from retort.sparse.objective.sampling import turn_generator

__all__ = ["epoch_batches"]

LENGTH_POOL = 16  # batches among which turns of like length are brought together


def epoch_batches(lengths: Sequence[int] | np.ndarray, *, batch_turns: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Turn numbers of each batch of an epoch: shuffled, then bucketed by length.

    A body that needs padding then needs little.

    The turns that do not fill a last batch sit this epoch out; others do in the next one. Fewer turns than a batch make
    one batch.
    """
    turns = len(lengths)
    generator = turn_generator(seed, epoch, "order of the turns")
    order = generator.permutation(turns)
    size = min(batch_turns, turns)
    order = order[: turns // size * size]
    batches: list[np.ndarray] = []
    for low in range(0, len(order), size * LENGTH_POOL):
        pool = order[low : low + size * LENGTH_POOL]
        pool = pool[np.argsort(np.asarray(lengths)[pool], kind="stable")]
        batches += np.split(pool, len(pool) // size)
    return [batches[number] for number in generator.permutation(len(batches))]
