"""Stage: query vectors of judged turns -> rankings and measures, kept below the run or the baseline that made them.

Effectiveness is measured through ir-measures, cost as FLOPS and L0, all of it by turn number too. Every judged turn of a
split counts; a turn whose query retrieves nothing counts 0. Torch, numba and ir-measures are imported once it is certain
that something is to be measured: an evaluation that is there already is found by its fingerprint.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from retort.config import EvaluationConfig, ExperimentConfig
from retort.evaluation.engines import NO_ENGINES, Engine, Engines, engine_of
from retort.evaluation.latest import OUT_OF_DOMAIN
from retort.evaluation.questions import JudgedTurns, judged_turns, selection
from retort.progress import Progress, silent
from retort.records import Turn
from retort.shards.reader import Collection
from retort.sparse.vectors import SparseVectors
from retort.storage import Folder, Record, StageWriter, Workspace
from retort.storage.layout import EVALUATION

if TYPE_CHECKING:
    from retort.sparse.search.exact import ExactIndex

__all__ = ["VERSION", "Evaluation", "OpenCollection", "Subject", "evaluate"]

STAGE = "evaluation"
VERSION = 3  # 2: frequent terms are added up last, so that scores differ in the last bit; 3: Judged@10


@dataclass(frozen=True)
class Evaluation:
    """A kept evaluation.

    Attributes:
        folder: Holds ``measures.json``, ``measures.parquet``, ``run.trec``, ``qrels.trec`` and ``queries.npz``.
        measures: n, R@100, R@10, RR, nDCG@3, Judged@10, FLOPS, L0 and ``by_turn``; with an engine also what it loses.
        record: The stage's record; its counts hold the measures, but for those by turn.
        reused: Whether the evaluation was there already, so that nothing was encoded or searched.
    """

    folder: Folder
    measures: dict[str, Any]
    record: Record
    reused: bool


@dataclass(frozen=True)
class Subject:
    """Whoever turns a conversation into a query, a student or a baseline, as an evaluation knows it.

    Attributes:
        name: A run's, or ``baseline:last`` and the like; it is the sixth column of the TREC run.
        parent: Folder below which its evaluations are kept.
        experiment: Its ``corpus.validate`` defines the held-out turns.
        encode: Makes the queries of turns, (Q, V), with the tokeniser of the opened collection or one of its own.
        vectors: The encoded collection that the queries are for; turns and judgements are read from the same workspace.
        inputs: Fingerprints of what encodes.
        config: Settings of the encoding that change the result.
    """

    name: str
    parent: str
    experiment: ExperimentConfig
    encode: Callable[[Sequence[Turn], Collection], SparseVectors]
    vectors: Folder
    inputs: Mapping[str, str]
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenCollection:
    """A collection and its index that are open already, and serve several evaluations."""

    collection: Collection
    index: "ExactIndex"


def evaluate(
    workspace: Workspace,
    subject: Subject,
    *,
    split: str,
    settings: EvaluationConfig,
    opened: OpenCollection | None = None,
    engines: Engines = NO_ENGINES,
    progress: Progress = silent,
) -> Evaluation:
    """Encode a split's turns, retrieve for them and measure, unless that is done already.

    Args:
        workspace: The evaluation is kept here.
        subject: Who encodes.
        split: A split of the workspace that the vectors are in, or ``validate``.
        settings: Engine and depth.
        opened: Of the subject's vectors; None: both are opened here.
        engines: By name, those that ``settings.engine`` may name beside ``exact``.
        progress: Called when the evaluation begins and ends, and while an index is built.
    """
    corpus = subject.vectors.workspace
    engine = engine_of(engines, settings.engine)
    if engine is not None:
        engine.check()  # before anything is encoded
    chosen = selection(corpus, subject.experiment, split)
    elsewhere = {OUT_OF_DOMAIN: True} if corpus.root != workspace.root else {}
    # For people who look at the folders; the workspace's own name is not in it, which may change.
    other = f"{PurePath(corpus.root).name}-" if elsewhere else ""
    vectors = subject.vectors.require("prepare the collection first: retort prepare --help")
    stage = workspace.stage(
        STAGE,
        VERSION,
        label=f"{subject.parent}/{other}{split}-{settings.engine}",
        config={**chosen.config, **subject.config, **settings.identity(), **elsewhere},
        inputs={**chosen.inputs, **subject.inputs, "vectors": vectors.fingerprint},
    )
    known = workspace.finished(subject.parent, stage.fingerprint)
    if known is not None:  # perhaps under the name that version 0.1 gave it, with that of its workspace
        stage = replace(stage, folder=known)
    # Before the stage is begun, so that a split without judgements leaves nothing behind.
    questions = judged_turns(corpus, subject.experiment, split) if stage.folder.record() is None else None
    with stage.writing() as writer:
        if writer.finished is not None:
            progress(STAGE, 1, 1, f"{stage.folder.name} is there already")
            return Evaluation(stage.folder, stage.folder.read_json(EVALUATION.measures), writer.finished, reused=True)
        assert questions is not None, "a record does not vanish"
        progress(STAGE, 0, len(questions.turns), f"{subject.name} on {len(questions.turns)} turns of {split}")
        measures = _measure(subject, questions, settings, opened, engine, writer, progress)
        progress(STAGE, len(questions.turns), len(questions.turns))
    return Evaluation(stage.folder, measures, writer.record, reused=False)


def _measure(
    subject: Subject,
    questions: JudgedTurns,
    settings: EvaluationConfig,
    opened: OpenCollection | None,
    engine: Engine | None,
    writer: StageWriter,
    progress: Progress,
) -> dict[str, Any]:
    """Retrieve for the turns, and write the rankings, the queries and what they measure; returns the measures."""
    from retort.evaluation.exact import search_collection
    from retort.evaluation.measured import loss_measures, measure
    from retort.formats.trec import run_scores, trec_qrels, trec_run

    collection = Collection(subject.vectors) if opened is None else opened.collection
    queries = subject.encode(questions.turns, collection)
    query_ids = [turn.query_id for turn in questions.turns]
    index = None if opened is None else opened.index
    rankings = search_collection(collection, queries, settings.top_k, index=index, progress=progress)
    exact: Mapping[str, Mapping[str, float]] = run_scores(query_ids, rankings, collection.doc_ids)
    run = exact
    if engine is not None:
        deployed = engine.retrieve(
            subject.vectors.workspace,
            subject.vectors,
            queries,
            query_ids,
            top_k=settings.top_k,
            bits=settings.quantization_bits,
            progress=progress,
        )
        run = deployed.run
    judgements, relevant_from = questions.judgements, questions.relevant_from
    measures, table = measure(
        questions.turns, judgements, run, queries, collection.passage_share, relevant_from=relevant_from
    )
    if engine is not None:
        measures |= loss_measures(judgements, exact, run, relevant_from=relevant_from, index_bytes=deployed.index_bytes)
    folder, buffer = writer.folder, io.BytesIO()
    np.savez(buffer, indptr=queries.indptr, indices=queries.indices, values=queries.values)
    writer.add(
        folder.write_json(EVALUATION.measures, measures),
        folder.write_table(EVALUATION.per_turn, table),
        folder.write_bytes(EVALUATION.run, trec_run(run, tag=subject.name).encode()),
        # Of no version of its own: evaluations from before it are as good, and `retort show qrels` prints theirs.
        folder.write_bytes(EVALUATION.qrels, trec_qrels(judgements).encode()),
        folder.write_bytes(EVALUATION.queries, buffer.getvalue()),
    )
    writer.counts |= {name: value for name, value in measures.items() if name != "by_turn"}
    return measures
