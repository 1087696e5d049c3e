"""The training loop of one worker: optimiser, schedule, precision, accumulation, states. Ray only carries it.

A resumed training goes on as if it had never stopped: ``state.py`` says what is kept for that, ``notice.py`` when at once.
"""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from retort.config import ExperimentConfig
from retort.distill.adaptation import TERMS, Adaptation, Weights
from retort.distill.batches import epoch_batches
from retort.distill.budget import fit_threshold, probe_turns, student_flops
from retort.distill.mining import student_rankings
from retort.distill.notice import Held, held_sigterm, machines_leave
from retort.distill.state import Curves, TrainingState
from retort.distill.step import CURVES, Batch, batch_loss, build_batch, penalized
from retort.distill.towers import PassageTexts, Towers, TrainedPassages, say_cache_is_off
from retort.errors import ConfigError, InputError, RunError
from retort.progress import Progress
from retort.shards.reader import Collection, TrainingTurns
from retort.sparse.encoders.encoder import QueryEncoder, parameter_groups, say_slow_bfloat16
from retort.sparse.objective.regularizers import mean_activation
from retort.sparse.objective.schedules import learning_rate_factor
from retort.sparse.search.exact import ExactIndex
from retort.storage import Folder

__all__ = ["Material", "States", "Worker", "check_precision", "set_dropout", "train"]


@dataclass(frozen=True)
class Material:
    """What a training reads, the same on every worker.

    Attributes:
        config: The experiment.
        turns: The experiment's training shard.
        collection: The encoded passages.
        index: Over the collection; needed where samples come from the student's own rankings.
    """

    config: ExperimentConfig
    turns: TrainingTurns
    collection: Collection
    index: ExactIndex | None = None


@dataclass(frozen=True)
class Worker:
    """One of ``world`` processes that train together; their process group exists already where ``world`` is above 1."""

    device: torch.device
    rank: int = 0
    world: int = 1

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all workers, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(tensor)
        return tensor


@dataclass(frozen=True)
class States:
    """Where and how often a training writes its state, to resume from.

    Attributes:
        folder: Where it is written to and read from.
        seconds: Time between two states, at least: a shorter training is started again sooner than a state is worth.
        leaving: Asked every ``leaving_seconds`` whether machines are about to be lost; while they are, a state is written
            as often.
        leaving_seconds: Machines that are taken back leave within 30 to 120 s of the notice.
    """

    folder: Folder
    seconds: float = 60.0
    leaving: Callable[[], bool] = machines_leave
    leaving_seconds: float = 5.0


@dataclass(frozen=True)
class _Machinery:
    """What every step computes with."""

    model: nn.Module
    config: ExperimentConfig
    passage_share: Tensor
    scaler: torch.amp.GradScaler
    autocast: Callable[[], contextlib.AbstractContextManager[Any]]
    worker: Worker

    def seed_dropout(self, step: int, part: int) -> None:
        """Seed as a function of the step, so that a resumed training drops what an uninterrupted one does."""
        seed = ((self.config.training.seed * 1_000_003 + step) * 1_009 + part) * 257 + self.worker.rank
        torch.manual_seed(seed % 2**64)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """A part's queries, and its pool's passages where they are trained.

        Only the encoders are cast: scores and softmaxes need float32.
        """
        with self.autocast():
            if isinstance(batch.pool, PassageTexts):
                queries, passages = self.model(batch.input_ids, batch.lengths, batch.pool)
                return queries, passages
            return self.model(batch.input_ids, batch.lengths), None


def set_dropout(student: nn.Module, probability: float | None) -> None:
    """Set every dropout of a model, also those that attention applies by itself; None leaves the model's own."""
    if probability is None:
        return
    for module in student.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        for name in ("dropout_prob", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def check_precision(config: ExperimentConfig, device: torch.device) -> None:
    """Raise ``ConfigError`` if the device cannot train in the precision asked for."""
    if config.training.precision == "fp16" and device.type == "cpu":
        raise ConfigError(["training.precision: fp16 needs a GPU; use bf16 or fp32 here"])


def _autocast(config: ExperimentConfig, device: torch.device) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    check_precision(config, device)
    precision = config.training.precision
    if precision == "fp32":
        return contextlib.nullcontext
    if precision == "bf16":
        say_slow_bfloat16(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return lambda: torch.autocast(device.type, dtype=dtype)


def _check_turns(config: ExperimentConfig, turns: TrainingTurns, world: int) -> None:
    accumulation = config.training.accumulation
    if len(turns) < world * accumulation:
        raise InputError(
            f"{len(turns)} training turns are fewer than training.workers x training.accumulation = "
            f"{world} x {accumulation}: every part of a batch needs one"
        )
    if config.needs_rewrite_vectors and (without := turns.teachers_without_rewrites()):
        raise InputError(
            f"the rankings of {', '.join(without)} were imported without the rewrites' vectors, which "
            "sampling.strategy=in_batch or student and objective.representation_weight need: add the rewrites and have "
            "them ranked here, or choose another strategy"
        )


def _optimizer(config: ExperimentConfig, encoders: dict[str, QueryEncoder]) -> torch.optim.Optimizer:
    settings = config.training
    groups = [
        group
        for encoder in encoders.values()
        for group in parameter_groups(
            encoder, learning_rate=settings.learning_rate, head_factor=settings.head_learning_rate_factor
        )
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)


def train(
    material: Material,
    student: QueryEncoder,
    *,
    worker: Worker,
    passages: TrainedPassages | None = None,
    states: States | None = None,
    progress: Progress,
) -> Curves:
    """Distil a student in place.

    Args:
        material: What is trained on.
        student: Trained in place.
        worker: This process among those that train together.
        passages: The passages' encoder, trained in place too, where the experiment says so.
        states: Where states are written now and then, and read from to resume; None: neither.
        progress: Called after each step, on rank 0.

    Returns:
        The curves, the same on every rank.

    Raises:
        RunError: If the loss is not finite.
        ConfigError: If the device cannot do the precision asked for.
    """
    config, turns, collection = material.config, material.turns, material.collection
    settings, device = config.training, worker.device
    autocast = _autocast(config, device)
    assert (passages is not None) == config.trains_passages, "the trainer opens them for such an experiment"
    model: nn.Module = student if passages is None else Towers(student, passages.encoder)
    encoders = {"student": student} | ({} if passages is None else {"passage_encoder": passages.encoder})
    trained = list(model.parameters())
    set_dropout(model, settings.dropout)
    model.to(device).train()
    _check_turns(config, turns, worker.world)
    per_epoch = len(epoch_batches(turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=0))
    total_steps = settings.epochs * per_epoch
    state = TrainingState(
        encoders,
        _optimizer(config, encoders),
        torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16"),
        Adaptation(config, total_steps),
        Curves.of_experiment(config),
    )
    peaks = [group["lr"] for group in state.optimizer.param_groups]
    if states is not None:
        state.load(states.folder, device)
    # find_unused_parameters: a body may hold weights (a pooler) that the student does not use.
    if worker.world > 1:
        model = DistributedDataParallel(model, find_unused_parameters=True, broadcast_buffers=False)
    share = torch.from_numpy(collection.passage_share).float().to(device)
    machinery = _Machinery(model, config, share, state.scaler, autocast, worker)
    probe = probe_turns(turns, seed=settings.seed)
    saver, first_step = _Saver(states, state) if states is not None and worker.rank == 0 else None, state.step
    with held_sigterm() as held:
        for step in range(first_step, total_steps):
            epoch, number = divmod(step, per_epoch)
            if number == 0 or step == first_step:
                batches = epoch_batches(
                    turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=epoch
                )
            _mine_if_due(material, state, student, worker)
            parts = _parts(material, state, batches[number], epoch, worker, passages)
            if step == first_step and worker.rank == 0 and isinstance(parts[0].pool, PassageTexts):
                say_cache_is_off(parts[0].pool)
            factor = learning_rate_factor(step, total_steps=total_steps, warmup_fraction=settings.warmup_fraction)
            for group, peak in zip(state.optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            if state.adaptation.wants_flops(step):
                probed = student_flops(
                    student, turns, probe, collection.passage_share, rank=worker.rank, world=worker.world
                )
                state.adaptation.observe_flops(step, probed)
            weights = state.adaptation.at(step)
            measured = _backward(machinery, parts, step, weights)
            measured |= {"gradient_norm": _update(state, trained, settings.gradient_clip)}
            measured |= {"learning_rate": peaks[0] * factor}
            measured |= {"penalty_weight": weights.queries, "passage_penalty_weight": weights.passages}
            measured |= {f"weight_{name}": weight for name, weight in weights.terms.items()}
            state.adaptation.observe(step, measured)
            state.curves.rows.append([measured[name] for name in state.curves.columns])
            state.step = step + 1
            if worker.rank == 0:
                progress("training", step + 1, total_steps, f"loss {measured['loss']:.3f}, L0 {measured['L0']:.0f}")
            if saver is not None:
                saver.after_step(held)
    model.eval()
    if config.regularization.flops_budget is not None:
        # On every worker alike: the weights are the same, and so are the turns.
        fit_threshold(student, turns, collection.passage_share, config.regularization.flops_budget, seed=settings.seed)
    return state.curves


class _Saver:
    """Writes a training's state when it is time, or when the training is about to be lost."""

    def __init__(self, states: States, state: TrainingState) -> None:
        self._states, self._state = states, state
        self._saved = self._asked = time.monotonic()

    def after_step(self, held: Held) -> None:
        """Write the state if it is time; if the process was asked to end, write it and let it end."""
        now = time.monotonic()
        due = held.received or now - self._saved >= self._states.seconds
        if not due and now - self._asked >= self._states.leaving_seconds:
            self._asked = now
            due = self._states.leaving()
        if due:
            self._state.save(self._states.folder)
            self._saved = time.monotonic()
        if held.received:
            held.release()
            held.hold()  # nobody minded


def _mine_if_due(material: Material, state: TrainingState, student: QueryEncoder, worker: Worker) -> None:
    """Retrieve the student's own rankings anew, where samples come from them and it is time."""
    sampling = material.config.sampling
    if sampling.strategy == "student" and (state.mined is None or state.step % sampling.refresh_steps == 0):
        assert material.index is not None, "the trainer opens it for this strategy"
        state.mined = student_rankings(
            student,
            material.turns,
            material.index,
            depth=sampling.window[1],
            rank=worker.rank,
            world=worker.world,
        )


def _parts(
    material: Material,
    state: TrainingState,
    numbers: np.ndarray,
    epoch: int,
    worker: Worker,
    passages: TrainedPassages | None,
) -> list[Batch]:
    """This worker's parts of a batch, one for each accumulation step."""
    accumulation = material.config.training.accumulation
    return [
        build_batch(
            material.turns,
            material.collection.vectors,
            numbers,
            slice(worker.rank + worker.world * part, None, worker.world * accumulation),
            config=material.config,
            epoch=epoch,
            device=worker.device,
            student_rankings=state.mined,
            tokens=None if passages is None else passages.tokens,
        )
        for part in range(accumulation)
    ]


def _backward(machinery: _Machinery, parts: list[Batch], step: int, weights: Weights) -> dict[str, float]:
    """Leave the whole batch's gradients in the model of every worker; returns the batch's values by name.

    Raises:
        RunError: If one of them is not finite.
    """
    model, config, worker = machinery.model, machinery.config, machinery.worker
    sum_over_parts = worker.sum
    if len(parts) > 1 and config.regularization.query == "flops":
        # A squared mean needs all parts' activations before the first part's backward pass.
        mean = torch.zeros_like(machinery.passage_share)
        for number, batch in enumerate(parts):
            machinery.seed_dropout(step, number)
            with torch.no_grad(), machinery.autocast():
                queries = model(batch.input_ids, batch.lengths)
                mean += mean_activation(penalized(queries, batch, config), batch.turns)
        mean = worker.sum(mean)

        def sum_over_parts(tensor: Tensor) -> Tensor:
            return mean

    sums: dict[str, Tensor] = {}
    for number, batch in enumerate(parts):
        machinery.seed_dropout(step, number)
        last = number == len(parts) - 1
        waits = model.no_sync() if isinstance(model, DistributedDataParallel) and not last else contextlib.nullcontext()
        with waits:
            loss, values = batch_loss(
                machinery.encode,
                batch,
                config,
                weights=weights,
                passage_share=machinery.passage_share,
                sum_over_parts=sum_over_parts,
            )
            # DDP averages gradients over workers; the batch's gradient is their sum.
            machinery.scaler.scale(loss * worker.world).backward()
        sums = {name: value + sums[name] if sums else value for name, value in values.items()}
    totals = worker.sum(torch.stack(list(sums.values())))
    measured = dict(zip(sums, totals.tolist(), strict=True))
    if not all(math.isfinite(value) for value in measured.values()):
        raise RunError(
            f"the loss of step {step} is not finite ({ {name: measured[name] for name in CURVES} }): "
            "lower training.learning_rate or regularization.query_weight"
        )
    for name in TERMS:
        measured[f"gradient_{name}"] **= 0.5
    return measured


def _update(state: TrainingState, trained: list[nn.Parameter], clip: float | None) -> float:
    """One step of the optimiser; returns the gradient's norm before it was clipped."""
    state.scaler.unscale_(state.optimizer)
    norm = nn.utils.clip_grad_norm_(trained, clip if clip is not None else float("inf"))
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    return float(norm)
