"""The training loop of one worker: optimiser, schedule, precision, accumulation, checkpoints. Ray only carries it.

All state that a step depends on besides weights and optimiser is a function of the step (batches, samples, learning rate,
ramp, dropout's seed), so that a resumed training goes on as if it had never stopped.
"""

import contextlib
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from retort.config import ExperimentConfig
from retort.distill.adaptation import TERMS, Adaptation
from retort.distill.batches import epoch_batches
from retort.distill.budget import fit_threshold, probe_turns, student_flops
from retort.distill.mining import student_rankings
from retort.distill.step import CURVES, MEASURED, Batch, batch_loss, build_batch, penalized
from retort.distill.towers import PassageTexts, Towers, TrainedPassages, say_cache_is_off
from retort.errors import ConfigError, InputError, RunError
from retort.progress import Progress
from retort.shards.reader import Collection, TrainingTurns
from retort.sparse.encoders.encoder import QueryEncoder, parameter_groups, say_slow_bfloat16
from retort.sparse.objective.regularizers import mean_activation
from retort.sparse.objective.schedules import learning_rate_factor
from retort.sparse.search.exact import ExactIndex
from retort.sparse.vectors import Int32
from retort.storage import Folder

__all__ = ["Curves", "check_precision", "set_dropout", "train"]

STATE = "state.pt"
ENCODERS = ("student", "passage_encoder")  # in a state; the second where it is trained
STATE_SECONDS = 60.0  # shorter trainings are started again sooner than a state is worth its writing


@dataclass
class Curves:
    """Per-step values of a training: ``CURVES``, the learning rate, and what else its objective has, by step."""

    rows: list[list[float]] = field(default_factory=list)
    columns: tuple[str, ...] = (*CURVES, "learning_rate", "gradient_norm")

    @classmethod
    def of_experiment(cls, config: ExperimentConfig) -> "Curves":
        """Empty curves with the columns that tell something of this experiment."""
        objective, columns = config.objective, list(cls.columns)
        if objective.divergence == "margin_mse" or objective.margin_mse_weight:
            columns.append("margin_mse")
        if objective.representation_weight:
            columns.append("representation")
        if objective.weighting != "fixed" or objective.contrastive_schedule != "constant":
            columns += [f"weight_{name}" for name in TERMS]
        if config.regularization.query != "none":
            columns.append("penalty_weight")
        if config.trains_passages:
            columns += ["passage_L0", "passage_penalty_weight"]
        return cls(columns=tuple(columns))

    def of(self, name: str) -> list[float]:
        """One curve, a value per step."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


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


def train(
    config: ExperimentConfig,
    turns: TrainingTurns,
    collection: Collection,
    student: QueryEncoder,
    *,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    state_folder: Folder | None = None,
    state_seconds: float = STATE_SECONDS,
    index: ExactIndex | None = None,
    passages: TrainedPassages | None = None,
    progress: Progress,
) -> Curves:
    """Distil a student in place.

    Args:
        config: The experiment.
        turns: Its training shard.
        collection: The encoded passages.
        student: Trained in place.
        device: Where it is trained.
        rank: This worker's place among ``world``; the process group stands already where world is above 1.
        world: Number of workers.
        state_folder: Where a state is written now and then, and read from to resume; None: neither.
        state_seconds: At least so much time lies between two states.
        index: Over the collection; read where samples come from the student's own rankings.
        passages: Their encoder, trained in place too, where the experiment says so.
        progress: Told of every step, on rank 0.

    Returns:
        The curves, the same on every rank.

    Raises:
        RunError: If the loss is not finite.
        ConfigError: If the device cannot do the precision asked for.
    """
    autocast = _autocast(config, device)
    assert (passages is not None) == config.trains_passages, "the trainer opens them for such an experiment"
    model: nn.Module = student if passages is None else Towers(student, passages.encoder)
    encoders = [student] if passages is None else [student, passages.encoder]
    trained = list(model.parameters())
    set_dropout(model, config.training.dropout)
    model.to(device).train()
    settings = config.training
    groups = [
        group
        for encoder in encoders
        for group in parameter_groups(
            encoder, learning_rate=settings.learning_rate, head_factor=settings.head_learning_rate_factor
        )
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
    if len(turns) < world * settings.accumulation:
        raise InputError(
            f"{len(turns)} training turns are fewer than training.workers x training.accumulation = "
            f"{world} x {settings.accumulation}: every part of a batch needs one"
        )
    if config.needs_rewrite_vectors and (without := turns.teachers_without_rewrites()):
        raise InputError(
            f"the rankings of {', '.join(without)} were imported without the rewrites' vectors, which "
            "sampling.strategy=in_batch or student and objective.representation_weight need: add the rewrites and have "
            "them ranked here, or choose another strategy"
        )
    share = torch.from_numpy(collection.passage_share).float().to(device)
    per_epoch = len(epoch_batches(turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=0))
    total_steps = settings.epochs * per_epoch
    curves = Curves.of_experiment(config)
    adaptation = Adaptation(config, total_steps)
    first_step, mined = _resume(state_folder, encoders, optimizer, scaler, adaptation, curves, device)
    # find_unused_parameters: a body may hold weights (a pooler) that the student does not use.
    if world > 1:
        model = DistributedDataParallel(model, find_unused_parameters=True, broadcast_buffers=False)
    probe = probe_turns(turns, seed=settings.seed)
    saved = time.monotonic()
    for step in range(first_step, total_steps):
        epoch, number = divmod(step, per_epoch)
        if number == 0 or step == first_step:
            batches = epoch_batches(turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=epoch)
        if config.sampling.strategy == "student" and (mined is None or step % config.sampling.refresh_steps == 0):
            assert index is not None, "the trainer opens it for this strategy"
            mined = student_rankings(student, turns, index, depth=config.sampling.window[1], rank=rank, world=world)
        parts = [
            build_batch(
                turns,
                collection.vectors,
                batches[number],
                slice(rank + world * part, None, world * settings.accumulation),
                config=config,
                epoch=epoch,
                device=device,
                student_rankings=mined,
                tokens=None if passages is None else passages.tokens,
            )
            for part in range(settings.accumulation)
        ]
        if step == first_step and rank == 0 and isinstance(parts[0].pool, PassageTexts):
            say_cache_is_off(parts[0].pool)
        factor = learning_rate_factor(step, total_steps=total_steps, warmup_fraction=settings.warmup_fraction)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        if adaptation.wants_flops(step):
            probed = student_flops(student, turns, probe, collection.passage_share, rank=rank, world=world)
            adaptation.observe_flops(step, probed)
        weights, strength = adaptation.weights(step), adaptation.strength(step)
        passage_strength = adaptation.passage_strength(step)
        strengths = strength, passage_strength
        values = _backward(model, parts, config, step, weights, strengths, share, scaler, autocast, rank, world)
        scaler.unscale_(optimizer)
        limit = settings.gradient_clip if settings.gradient_clip is not None else float("inf")
        norm = nn.utils.clip_grad_norm_(trained, limit)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        measured = dict(zip(MEASURED, values.tolist(), strict=True))
        if not all(math.isfinite(value) for value in measured.values()):
            raise RunError(
                f"the loss of step {step} is not finite ({ {name: measured[name] for name in CURVES} }): "
                "lower training.learning_rate or regularization.query_weight"
            )
        for name in TERMS:
            measured[f"gradient_{name}"] **= 0.5
        adaptation.observe(step, measured)
        told = measured | {"learning_rate": peaks[0] * factor, "gradient_norm": float(norm), "penalty_weight": strength}
        told["passage_penalty_weight"] = passage_strength
        told |= {f"weight_{name}": weight for name, weight in weights.items()}
        curves.rows.append([told[name] for name in curves.columns])
        if rank == 0:
            progress("training", step + 1, total_steps, f"loss {told['loss']:.3f}, L0 {told['L0']:.0f}")
            if state_folder is not None and time.monotonic() - saved >= state_seconds:
                _save(state_folder, step + 1, encoders, optimizer, scaler, adaptation, mined, curves)
                saved = time.monotonic()
    model.eval()
    if config.regularization.flops_budget is not None:
        # On every worker alike: the weights are the same, and so are the turns.
        fit_threshold(student, turns, collection.passage_share, config.regularization.flops_budget, seed=settings.seed)
    return curves


def _backward(
    model: nn.Module,
    parts: list[Batch],
    config: ExperimentConfig,
    step: int,
    weights: dict[str, float],
    strengths: tuple[float, float],
    share: Tensor,
    scaler: torch.amp.GradScaler,
    autocast: Callable[[], contextlib.AbstractContextManager[Any]],
    rank: int,
    world: int,
) -> Tensor:
    """Gradients of the whole batch's loss on every worker; returns the batch's curve values."""

    def over_workers(tensor: Tensor) -> Tensor:
        if world > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def seed_dropout(part: int) -> None:
        # The seed is a function of the step, so that a resumed training drops what an uninterrupted one does.
        torch.manual_seed((((config.training.seed * 1_000_003 + step) * 1_009 + part) * 257 + rank) % 2**64)

    sum_over_parts = over_workers
    if len(parts) > 1 and config.regularization.query == "flops":
        # A squared mean needs all parts' activations before the first part's backward pass.
        mean = torch.zeros_like(share)
        for number, batch in enumerate(parts):
            seed_dropout(number)
            with torch.no_grad(), autocast():
                queries = model(batch.input_ids, batch.lengths)
                mean += mean_activation(penalized(queries, batch, config), batch.turns)
        mean = over_workers(mean)

        def sum_over_parts(tensor: Tensor) -> Tensor:
            return mean

    def encode(batch: Batch) -> tuple[Tensor, Tensor | None]:
        # Only the encoders are cast: scores and softmaxes need float32.
        with autocast():
            if isinstance(batch.pool, PassageTexts):
                queries, passages = model(batch.input_ids, batch.lengths, batch.pool)
                return queries, passages
            return model(batch.input_ids, batch.lengths), None

    values = torch.zeros(len(MEASURED), device=share.device)
    for number, batch in enumerate(parts):
        seed_dropout(number)
        last = number == len(parts) - 1
        waits = model.no_sync() if isinstance(model, DistributedDataParallel) and not last else contextlib.nullcontext()
        with waits:
            loss, part = batch_loss(
                encode,
                batch,
                config,
                weights=weights,
                strength=strengths[0],
                passage_share=share,
                sum_over_parts=sum_over_parts,
                passage_strength=strengths[1],
            )
            # DDP averages gradients over workers; the batch's gradient is their sum.
            scaler.scale(loss * world).backward()
        values += part
    return over_workers(values)


def _save(
    folder: Folder,
    step: int,
    encoders: list[QueryEncoder],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    adaptation: Adaptation,
    mined: Int32 | None,
    curves: Curves,
) -> None:
    state = {
        "step": step,
        **{name: encoder.state_dict() for name, encoder in zip(ENCODERS, encoders, strict=False)},
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "adaptation": adaptation.state(),
        "student_rankings": None if mined is None else torch.from_numpy(mined),
        "curves": curves.rows,
    }
    folder.write(STATE, lambda stream: torch.save(state, stream))


def _resume(
    folder: Folder | None,
    encoders: list[QueryEncoder],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    adaptation: Adaptation,
    curves: Curves,
    device: torch.device,
) -> tuple[int, Int32 | None]:
    if folder is None or not folder.exists(STATE):
        return 0, None
    state = torch.load(io.BytesIO(folder.read_bytes(STATE)), map_location=device, weights_only=True)
    for name, encoder in zip(ENCODERS, encoders, strict=False):
        encoder.load_state_dict(state[name])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    adaptation.load(state["adaptation"])
    curves.rows = state["curves"]
    mined = state["student_rankings"]
    return int(state["step"]), None if mined is None else mined.cpu().numpy()
