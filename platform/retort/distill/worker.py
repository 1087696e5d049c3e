"""The training loop of one worker: optimiser, schedule, precision, accumulation, checkpoints. Ray only carries it.

All state that a step depends on besides weights and optimiser is a function of the step (batches, samples, learning rate,
ramp, dropout's seed), so that a resumed training goes on as if it had never stopped.
"""

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from retort.config import ExperimentConfig
from retort.distill.step import CURVES, Batch, batch_loss, build_batch, epoch_batches
from retort.errors import ConfigError, InputError, RunError
from retort.progress import Progress
from retort.shards.reader import Collection, TrainingTurns
from retort.sparse.encoder import QueryEncoder, parameter_groups, say_slow_bfloat16
from retort.sparse.regularizers import mean_activation
from retort.sparse.schedules import learning_rate_factor
from retort.storage import Folder

__all__ = ["Curves", "check_precision", "set_dropout", "train"]

STATE = "state.pt"
STATE_SECONDS = 60.0  # shorter trainings are started again sooner than a state is worth its writing


@dataclass
class Curves:
    """Per-step values of a training: ``CURVES`` and the learning rate, by step."""

    rows: list[list[float]] = field(default_factory=list)
    columns: tuple[str, ...] = (*CURVES, "learning_rate", "gradient_norm")

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
        progress: Told of every step, on rank 0.

    Returns:
        The curves, the same on every rank.

    Raises:
        RunError: If the loss is not finite.
        ConfigError: If the device cannot do the precision asked for.
    """
    autocast = _autocast(config, device)
    set_dropout(student, config.training.dropout)
    student.to(device).train()
    settings = config.training
    groups = parameter_groups(
        student, learning_rate=settings.learning_rate, head_factor=settings.head_learning_rate_factor
    )
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
    if len(turns) < world * settings.accumulation:
        raise InputError(
            f"{len(turns)} training turns are fewer than training.workers x training.accumulation = "
            f"{world} x {settings.accumulation}: every part of a batch needs one"
        )
    share = torch.from_numpy(collection.passage_share).float().to(device)
    per_epoch = len(epoch_batches(turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=0))
    total_steps = settings.epochs * per_epoch
    curves = Curves()
    first_step = _resume(state_folder, student, optimizer, scaler, curves, device)
    # find_unused_parameters: a body may hold weights (a pooler) that the student does not use.
    model: nn.Module = student
    if world > 1:
        model = DistributedDataParallel(student, find_unused_parameters=True, broadcast_buffers=False)
    saved = time.monotonic()
    for step in range(first_step, total_steps):
        epoch, number = divmod(step, per_epoch)
        if number == 0 or step == first_step:
            batches = epoch_batches(turns.lengths, batch_turns=settings.batch_turns, seed=settings.seed, epoch=epoch)
        parts = [
            build_batch(
                turns,
                collection.vectors,
                batches[number],
                slice(rank + world * part, None, world * settings.accumulation),
                config=config,
                epoch=epoch,
                device=device,
            )
            for part in range(settings.accumulation)
        ]
        factor = learning_rate_factor(step, total_steps=total_steps, warmup_fraction=settings.warmup_fraction)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        values = _backward(model, parts, config, step, total_steps, share, scaler, autocast, rank, world)
        scaler.unscale_(optimizer)
        limit = settings.gradient_clip if settings.gradient_clip is not None else float("inf")
        norm = nn.utils.clip_grad_norm_(student.parameters(), limit)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        row = [*values.tolist(), peaks[0] * factor, float(norm)]
        if not all(value == value and abs(value) != float("inf") for value in row[: len(CURVES)]):
            raise RunError(
                f"the loss of step {step} is not finite ({dict(zip(CURVES, row, strict=False))}): "
                "lower training.learning_rate or regularization.query_weight"
            )
        curves.rows.append(row)
        if rank == 0:
            progress("training", step + 1, total_steps, f"loss {row[0]:.3f}, L0 {row[4]:.0f}")
            if state_folder is not None and time.monotonic() - saved >= state_seconds:
                _save(state_folder, step + 1, student, optimizer, scaler, curves)
                saved = time.monotonic()
    student.eval()
    return curves


def _backward(
    model: nn.Module,
    parts: list[Batch],
    config: ExperimentConfig,
    step: int,
    total_steps: int,
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
        torch.manual_seed(((config.training.seed * 1_000_003 + step) * 1_009 + part) * 257 + rank)

    sum_over_parts = over_workers
    if len(parts) > 1 and config.regularization.query == "flops":
        # A squared mean needs all parts' activations before the first part's backward pass.
        mean = torch.zeros_like(share)
        for number, batch in enumerate(parts):
            seed_dropout(number)
            with torch.no_grad(), autocast():
                mean += mean_activation(model(batch.input_ids, batch.lengths), batch.turns)
        mean = over_workers(mean)

        def sum_over_parts(tensor: Tensor) -> Tensor:
            return mean

    def encode(input_ids: Tensor, lengths: tuple[int, ...]) -> Tensor:
        # Only the encoder is cast: scores and softmaxes need float32.
        with autocast():
            queries: Tensor = model(input_ids, lengths)
        return queries

    values = torch.zeros(len(CURVES), device=share.device)
    for number, batch in enumerate(parts):
        seed_dropout(number)
        last = number == len(parts) - 1
        waits = model.no_sync() if isinstance(model, DistributedDataParallel) and not last else contextlib.nullcontext()
        with waits:
            loss, part = batch_loss(
                encode,
                batch,
                config,
                step=step,
                total_steps=total_steps,
                passage_share=share,
                sum_over_parts=sum_over_parts,
            )
            # DDP averages gradients over workers; the batch's gradient is their sum.
            scaler.scale(loss * world).backward()
        values += part
    return over_workers(values)


def _save(
    folder: Folder,
    step: int,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    curves: Curves,
) -> None:
    state = {
        "step": step,
        "student": student.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "curves": curves.rows,
    }
    folder.write(STATE, lambda stream: torch.save(state, stream))


def _resume(
    folder: Folder | None,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    curves: Curves,
    device: torch.device,
) -> int:
    if folder is None or not folder.exists(STATE):
        return 0
    state = torch.load(io.BytesIO(folder.read_bytes(STATE)), map_location=device, weights_only=True)
    student.load_state_dict(state["student"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    curves.rows = state["curves"]
    return int(state["step"])
