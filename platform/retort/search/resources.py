"""What a trial asks Ray for, so that as many run at a time as were asked for, and none waits for ever."""

import math
from dataclasses import dataclass

from retort.config import TrainingConfig
from retort.shards.session import cluster_cpus, cluster_gpus, on_cluster, smallest_machine

__all__ = ["Share", "trial_resources", "trial_share"]

GPU_TRIAL_CPUS = 4


@dataclass(frozen=True)
class Share:
    """A trial's share of the cluster.

    Attributes:
        concurrent: Trials at a time.
        resources: What each asks Ray for.
        threads: Torch's threads in each.
    """

    concurrent: int
    resources: dict[str, float]
    threads: int


def trial_share(concurrent: int, training: TrainingConfig) -> Share:
    """The share of a trial, where so many at a time are wanted, on the cluster that this process is connected to."""
    cpus = cluster_cpus()
    if training.workers:
        # The trial waits for its workers: it must reserve next to nothing, and no more may run than have workers.
        concurrent = concurrent if on_cluster() else min(concurrent, max(1, cpus // training.workers))
        return Share(concurrent, {"memory": 1 << 20}, threads=1)
    # A cluster may start nodes for trials that wait; this machine has the processors that it has.
    concurrent = concurrent if on_cluster() else min(concurrent, cpus)
    resources = trial_resources(
        concurrent,
        cpus=cpus,
        smallest=smallest_machine(),
        gpus=cluster_gpus(),
        grows=on_cluster(),
        needs_gpu=training.precision == "fp16",
    )
    return Share(concurrent, resources, threads=int(resources["cpu"]))


def trial_resources(
    concurrent: int, *, cpus: int, smallest: int, gpus: int, grows: bool, needs_gpu: bool
) -> dict[str, float]:
    """What a trial asks Ray for, such that one machine can give it.

    Args:
        concurrent: Trials at a time.
        cpus: Processors of all machines that are up.
        smallest: Processors of the smallest of them.
        gpus: GPUs of all of them.
        grows: Whether a trial may wait for a machine that is not up yet.
        needs_gpu: Whether training runs on nothing else.
    """
    resources: dict[str, float] = {"cpu": max(1, min(smallest, cpus // concurrent))}
    if grows and (gpus or needs_gpu):
        # A GPU's machine may have few processors, and a trial on a GPU needs few.
        resources |= {"cpu": min(resources["cpu"], GPU_TRIAL_CPUS), "gpu": 1}
    elif gpus:
        # Of this machine's: several trials on one where there are fewer, in parts that add up to it.
        resources["gpu"] = min(1.0, math.floor(1e4 * gpus / concurrent) / 1e4)
    return resources
