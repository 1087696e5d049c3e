"""Latency as a user feels it: a turn's context tokenised, encoded, searched for its 100 best passages, in milliseconds.

Every turn of a split is asked several times, in one stream and in several at a time, with each engine. A measurement is kept with
the run, in ``latency/<split>-<engine>-<fingerprint>/latency.json``; it is of one machine at one time, and asking again
measures again.

Shapes: A askings (turns times rounds), Q turns.
"""

import copy
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from retort.deploy.java import detach_thread
from retort.deploy.lucene import LuceneIndex, prepare_lucene
from retort.errors import WorkspaceError
from retort.evaluation.evaluate import context_input_ids
from retort.evaluation.questions import judged_turns
from retort.evaluation.runs import find_run
from retort.evaluation.students import Run, open_run, prepare_run_vectors
from retort.formats.trec import run_scores
from retort.measures.paired import rank_correlation
from retort.measures.sparsity import activation_share, flops, l0_per_row
from retort.progress import Progress, silent
from retort.records import Turn
from retort.shards.index import open_index, prepare_index
from retort.shards.reader import Collection
from retort.sparse.encoders.encoder import encode_ids
from retort.sparse.vectors import SparseVectors
from retort.storage import Folder, Workspace
from retort.storage.layout import LATENCY, RUN

__all__ = ["LatencySettings", "Measured", "flops_correlations", "latest_latency", "measure_latency"]

STAGE = "latency"
VERSION = 1
STEPS = ("tokenize", "encode", "search")
WARM_UP = 10  # turns that are asked before the clock counts
Engine = Literal["exact", "lucene"]
Milliseconds = npt.NDArray[np.float64]
Search = Callable[[SparseVectors], object]


@dataclass(frozen=True)
class LatencySettings:
    """How latency is measured.

    Attributes:
        engine: ``exact`` or ``lucene``.
        top_k: Passages retrieved for a query.
        rounds: How often each turn is queried.
        streams: Queries at a time in the concurrent measurement, each with a copy of the student and one torch thread.
        bits: Bits of a weight in Lucene.
    """

    engine: Engine = "exact"
    top_k: int = 100
    rounds: int = 3
    streams: int = 2
    bits: int = 8


@dataclass(frozen=True)
class Measured:
    """A kept measurement.

    Attributes:
        run: Its name.
        folder: Where it is kept.
        figures: What ``latency.json`` holds.
    """

    run: str
    folder: Folder
    figures: dict[str, Any]


@dataclass(frozen=True)
class _Opened:
    run: Run
    turns: list[Turn]
    collection: Collection
    search: Search
    inputs: dict[str, str]
    config: dict[str, object]


def measure_latency(
    workspace: Workspace, names: Sequence[str], *, split: str, settings: LatencySettings, progress: Progress = silent
) -> list[Measured]:
    """Measure the latency of runs on a split's judged turns, side by side, and keep it with each.

    In one stream the runs are asked turn by turn in turn, so that what else the machine does meets all of them alike. Several
    streams at a time ask one run after the other.

    Raises:
        WorkspaceError: If there is no such run or split.
        ConfigError: If Lucene is asked for and cannot be had.
    """
    at, machine = datetime.now(UTC).isoformat(), _machine()
    with ExitStack() as stack:
        searches: dict[str, Search] = {}
        opened = [_open(workspace, name, split, settings, searches, stack, progress) for name in names]
        progress(STAGE, 0, 1 + len(opened), f"{len(opened)} runs with {settings.engine}, one stream")
        single = _single(opened, settings.rounds)
        measured = []
        for number, (one, taken) in enumerate(zip(opened, single, strict=True), start=1):
            progress(STAGE, number, 1 + len(opened), f"{one.run.name}, {settings.streams} streams at a time")
            concurrent, seconds = _concurrent(one.run, one.turns, one.search, settings)
            figures: dict[str, Any] = {
                "run": one.run.name,
                "split": split,
                "n": len(one.turns),
                **vars(settings),
                "at": at,
                "machine": machine,
                **_cost(one),
                "single": {"total": _summary(taken.sum(axis=1))}
                | {step: _summary(taken[:, column]) for column, step in enumerate(STEPS)},
                "concurrent": {"total": _summary(concurrent), "queries_per_second": len(concurrent) / seconds},
                "by_turn": _by_turn(one.turns, taken.sum(axis=1), settings.rounds),
            }
            measured.append(Measured(one.run.name, _keep(workspace, one, split, settings, figures), figures))
        progress(STAGE, 1 + len(opened), 1 + len(opened))
    return measured


def _open(
    workspace: Workspace,
    name: str,
    split: str,
    settings: LatencySettings,
    searches: dict[str, Search],
    stack: ExitStack,
    progress: Progress,
) -> _Opened:
    run = open_run(workspace, name)
    questions = judged_turns(workspace, run.config, split)
    collection = Collection(prepare_run_vectors(workspace, run, progress))
    if collection.folder.name not in searches:
        searches[collection.folder.name] = stack.enter_context(_searcher(workspace, collection, settings, progress))
    inputs = {
        **questions.selection.inputs,
        "run": run.folder.require("the run is not finished").fingerprint,
        "vectors": collection.record.fingerprint,
    }
    return _Opened(
        run, questions.turns, collection, searches[collection.folder.name], inputs, questions.selection.config
    )


def _single(opened: Sequence[_Opened], rounds: int) -> list[Milliseconds]:
    """(A, 3) milliseconds of each run's askings, by step."""
    for one in opened:
        for turn in one.turns[:WARM_UP]:
            _ask(one.run, turn, one.search)
    taken: list[list[tuple[float, float, float]]] = [[] for _ in opened]
    for _ in range(rounds):
        for position in range(max(len(one.turns) for one in opened)):
            for step in range(len(opened)):
                number = (position + step) % len(opened)  # none of them always comes after the same other one
                one = opened[number]
                if position < len(one.turns):
                    taken[number].append(_ask(one.run, one.turns[position], one.search))
    return [np.array(values) for values in taken]


def _cost(one: _Opened) -> dict[str, float]:
    queries = encode_ids(one.run.student, context_input_ids(one.turns, one.run.config, one.run.tokenizer))
    share = activation_share(queries.indptr, queries.indices, queries.vocabulary_size)
    return {"FLOPS": flops(share, one.collection.passage_share), "L0": float(l0_per_row(queries.indptr).mean())}


def _keep(
    workspace: Workspace, one: _Opened, split: str, settings: LatencySettings, figures: Mapping[str, Any]
) -> Folder:
    stage = workspace.stage(
        STAGE,
        VERSION,
        label=f"{RUN.latencies(one.run.name)}/{split}-{settings.engine}",
        config={**one.config, **vars(settings), "at": figures["at"], "machine": figures["machine"]},
        inputs=one.inputs,
    )
    with stage.writing() as writer:
        writer.add(stage.folder.write_json(LATENCY, figures))
    return stage.folder


@contextmanager
def _searcher(
    workspace: Workspace, collection: Collection, settings: LatencySettings, progress: Progress
) -> Iterator[Search]:
    if settings.engine == "exact":
        index = open_index(prepare_index(workspace, collection.folder, progress))

        def exact(query: SparseVectors) -> object:
            # What a user gets are names of passages, not their rows.
            return run_scores(["q"], index.search(query, settings.top_k), collection.doc_ids)

        yield exact
        return
    folder = prepare_lucene(workspace, collection.folder, bits=settings.bits, progress=progress)
    with LuceneIndex(folder) as opened:
        yield lambda query: opened.search_one(*query.row(0), settings.top_k)


def _ask(run: Run, turn: Turn, search: Search) -> tuple[float, float, float]:
    """Milliseconds of the three steps."""
    begin = time.perf_counter()
    ids = context_input_ids([turn], run.config, run.tokenizer)
    tokenized = time.perf_counter()
    query = encode_ids(run.student, ids)
    encoded = time.perf_counter()
    search(query)
    done = time.perf_counter()
    return 1e3 * (tokenized - begin), 1e3 * (encoded - tokenized), 1e3 * (done - encoded)


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _concurrent(
    run: Run, turns: Sequence[Turn], search: Search, settings: LatencySettings
) -> tuple[Milliseconds, float]:
    """(A,) milliseconds of each asking, and the seconds that all of them took together."""
    waiting = iter([turn for _ in range(settings.rounds) for turn in turns])
    lock, ready = threading.Lock(), threading.Barrier(settings.streams + 1)

    def stream(own: Run) -> list[float]:
        taken: list[float] = []
        try:
            for turn in turns[:WARM_UP]:
                _ask(own, turn, search)
            ready.wait()
            while True:
                with lock:
                    turn_or_none = next(waiting, None)
                if turn_or_none is None:
                    return taken
                taken.append(sum(_ask(own, turn_or_none, search)))
        except BaseException:
            ready.abort()
            raise
        finally:
            if settings.engine == "lucene":
                detach_thread()

    with _one_torch_thread(), ThreadPoolExecutor(settings.streams) as pool:
        pending = [pool.submit(stream, _copied(run)) for _ in range(settings.streams)]
        try:
            ready.wait()
        except threading.BrokenBarrierError:
            errors = [future.exception() for future in pending]
            # What broke it, and not that it broke.
            raise next(e for e in errors if e and not isinstance(e, threading.BrokenBarrierError)) from None
        begin = time.perf_counter()
        taken = [value for future in pending for value in future.result()]
        return np.array(taken), time.perf_counter() - begin


def _copied(run: Run) -> Run:
    """The run with a student of its own, for one of several threads."""
    loaded = copy.deepcopy(run.student), run.tokenizer
    return replace(run, load=lambda: loaded)


def _summary(values: Milliseconds) -> dict[str, float]:
    p50, p95, p99 = np.percentile(values, [50, 95, 99]).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "mean": float(values.mean())}


def _by_turn(turns: Sequence[Turn], totals: Milliseconds, rounds: int) -> dict[str, dict[str, float]]:
    numbers = np.tile([turn.turn_number for turn in turns], rounds)
    return {
        str(number): {"n": float((numbers == number).sum() / rounds), **_summary(totals[numbers == number])}
        for number in np.unique(numbers).tolist()
    }


def _machine() -> dict[str, object]:
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": platform.processor() or platform.machine(),
        "processors": processors,
        "torch_threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def latest_latency(workspace: Workspace, run: str, *, split: str, engine: str) -> Measured:
    """The latest kept measurement of a run on a split with an engine.

    Raises:
        WorkspaceError: If there is none; the message says how to get one.
    """
    own = find_run(workspace, run)
    found = []
    for folder in workspace.stages(RUN.latencies(own.name)):
        config = folder.require("it is listed").config
        if config["split"] == split and config["engine"] == engine:
            found.append((str(config["at"]), folder.name))
    if not found:
        raise WorkspaceError(
            f"the latency of {run} was not measured on {split} with {engine}: "
            f"retort latency {run} --split {split} --engine {engine} --workspace {workspace.url}"
        )
    folder = workspace.folder(max(found)[1])
    return Measured(RUN.label(own.name), folder, folder.read_json(LATENCY))


def flops_correlations(measured: Sequence[Measured]) -> dict[str, float | None]:
    """Rank correlation, over the runs, of FLOPS with the median milliseconds of the search, and of all three steps.

    None where there are fewer than three runs, or where one of the two is the same for all.
    """
    costs = [each.figures["FLOPS"] for each in measured]
    return {
        step: rank_correlation(costs, [each.figures["single"][step]["p50"] for each in measured])
        for step in ("search", "total")
    }
