"""Checkpoint + corpus -> measures: effectiveness through ir-measures, cost as FLOPS and L0, all of it by turn number too.

A student can be measured on another workspace's corpus, out of its domain: that collection is encoded there with the
student's own frozen passage encoder, and the result is kept with the run. How much such figures say depends on how many of
the ten best passages were judged at all: Judged@10.

Every judged turn of a split counts; a turn whose query retrieves nothing counts 0. Baselines (the raw context, the last
question, a teacher's rewrite) are measured on the same footing with the frozen encoder of the same collection.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from retort.config import (
    EvaluationConfig,
    ExperimentConfig,
    HoldoutConfig,
)
from retort.corpora.context import context_ids, context_of
from retort.corpora.holdout import HELD_OUT, validation_conversations
from retort.corpora.turns import read_judgements, read_turns, relevance_threshold
from retort.errors import ConfigError, DataError
from retort.evaluation.engines import NO_ENGINES, Engines, engine_of
from retort.evaluation.exact import search_collection
from retort.evaluation.latest import FROZEN_VECTORS, OUT_OF_DOMAIN
from retort.evaluation.measured import loss_measures, measure
from retort.evaluation.students import Run, open_run
from retort.formats.trec import run_scores, trec_qrels, trec_run
from retort.progress import Progress, silent
from retort.records import Turn
from retort.shards.reader import Collection
from retort.shards.texts import TextEncoder
from retort.shards.vectors import prepare_vectors, vectors_stage
from retort.sparse.encoders.encoder import encode_ids
from retort.sparse.search.exact import ExactIndex
from retort.sparse.tokens import Tokenizer
from retort.sparse.vectors import Int32, SparseVectors
from retort.storage import Folder, Record, Workspace
from retort.storage.layout import BASELINE, EVALUATION, RUN
from retort.teachers.imports import read_rewrites

__all__ = [
    "BASELINES",
    "VALIDATION",
    "Evaluation",
    "context_input_ids",
    "evaluate",
    "evaluate_baseline",
    "evaluate_elsewhere",
    "evaluate_run",
    "evaluate_student",
    "judged_turns",
    "prepare_run_vectors",
]

STAGE = "evaluation"
VERSION = 3  # 2: frequent terms are added up last, so that scores differ in the last bit; 3: Judged@10
VALIDATION = HELD_OUT
BASELINES = ("baseline:context", "baseline:last", "baseline:rewrite:TEACHER")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to.

    Attributes:
        folder: Where ``measures.json``, ``measures.parquet``, ``run.trec`` and ``qrels.trec`` stand.
        measures: n, R@100, R@10, RR, nDCG@3, Judged@10, FLOPS, L0 and ``by_turn``.
        record: Its record.
        reused: Whether it was there already.
    """

    folder: Folder
    measures: dict[str, Any]
    record: Record
    reused: bool


@dataclass(frozen=True)
class _Questions:
    turns: list[Turn]
    judgements: dict[str, dict[str, int]]
    inputs: dict[str, str]
    config: dict[str, object]
    relevant_from: int


def judged_turns(workspace: Workspace, experiment: ExperimentConfig, split: str) -> _Questions:
    """The turns of a split that have judgements; ``validate`` is what the experiment holds out.

    Raises:
        WorkspaceError: If the split is missing.
        ConfigError: If the experiment holds nothing out.
        DataError: If no turn is judged.
    """
    config: dict[str, object] = {"split": split}
    held_out = experiment.corpus.validation if split == VALIDATION else None
    if split == VALIDATION:
        if held_out is None:
            raise ConfigError([f"corpus.validate is null, so that there is no split {VALIDATION!r}"])
        split = held_out if isinstance(held_out, str) else experiment.corpus.train
    turns, judgements = read_turns(workspace, split), read_judgements(workspace, split)
    if isinstance(held_out, HoldoutConfig):
        config |= {"held_out": held_out.model_dump(mode="json"), "of": split}
        kept = validation_conversations({turn.conversation_id for turn in turns}, held_out)
        turns = [turn for turn in turns if turn.conversation_id in kept]
    turns = [turn for turn in turns if judgements.get(turn.query_id)]
    if not turns:
        raise DataError(f"no turn of {split} is judged: there is nothing to evaluate on")
    inputs = {
        kind: workspace.folder(f"{kind}/{split}").require("import that split first").fingerprint
        for kind in ("turns", "judgements")
    }
    judged = {turn.query_id: judgements[turn.query_id] for turn in turns}
    return _Questions(turns, judged, inputs, config, relevance_threshold(workspace, split))


def context_input_ids(turns: Sequence[Turn], experiment: ExperimentConfig, tokenizer: Tokenizer) -> list[Int32]:
    """The student's input of each turn, as training has it."""
    settings, budget = experiment.context, experiment.encoder.query_tokens
    return [context_ids(tokenizer, context_of(turn, settings), settings, max_tokens=budget) for turn in turns]


def evaluate_run(
    workspace: Workspace,
    name: str,
    *,
    split: str,
    settings: EvaluationConfig,
    engines: Engines = NO_ENGINES,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a finished run on a split of its workspace."""
    run = open_run(workspace, name)
    return evaluate_student(workspace, run, split=split, settings=settings, engines=engines, progress=progress)


def evaluate_elsewhere(
    workspace: Workspace,
    name: str,
    *,
    on: Workspace,
    split: str,
    settings: EvaluationConfig,
    engines: Engines = NO_ENGINES,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a finished run on a split of another workspace, encoding that one's collection where it is not yet.

    Raises:
        ConfigError: If the split is what an experiment holds out: that is defined in a run's own workspace alone.
        WorkspaceError: If there is no such run or split.
        DataError: If no turn of the split is judged.
    """
    if split == VALIDATION:
        raise ConfigError([f"the split {VALIDATION!r} is of a run's own workspace; name a split of {on.url}"])
    run = open_run(workspace, name)
    judged_turns(on, run.config, split)  # what is missing is told of before a collection is encoded
    if run.frozen_vectors is None:
        tokenizer = run.vectors.local_tree("tokenizer")
        vectors = prepare_vectors(on, run.config.encoder, progress, tokenizer=tokenizer)
    else:
        vectors = prepare_vectors(on, run.config.encoder, progress, run=run.folder)
    return evaluate_student(
        workspace, run, split=split, settings=settings, vectors=vectors, engines=engines, progress=progress
    )


def evaluate_student(
    workspace: Workspace,
    run: Run,
    *,
    split: str,
    settings: EvaluationConfig,
    vectors: Folder | None = None,
    collection: Collection | None = None,
    index: ExactIndex | None = None,
    engines: Engines = NO_ENGINES,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a run whose student is loaded, with a collection and an index that may be open already.

    A run that trained its passage encoder is evaluated over its own vectors, which are encoded and indexed when they are first
    needed; what is open already is not of its collection then.

    Args:
        workspace: The run's.
        run: Its student.
        split: Of the workspace that the vectors are in.
        settings: Engine and depth.
        vectors: Of another workspace's collection, made with the run's encoder; None: those its queries are for.
        collection: Open already, or None.
        index: Open already, or None.
        engines: By name, those that ``settings.engine`` may name beside ``exact``.
        progress: Told what happens.
    """

    def encode(turns: Sequence[Turn], opened: Collection) -> SparseVectors:
        ids = context_input_ids(turns, run.config, run.tokenizer)
        return encode_ids(run.student, ids)

    identity = {"run": run.folder.require("the run is not finished").fingerprint}
    if run.frozen_vectors is not None:
        identity[FROZEN_VECTORS] = run.frozen_vectors.require("the run was trained against it").fingerprint
        collection = index = None
    return evaluate(
        workspace,
        run.config,
        encode,
        vectors=prepare_run_vectors(workspace, run, progress) if vectors is None else vectors,
        parent=RUN.evaluations(run.name),
        tag=run.name,
        identity=identity,
        split=split,
        settings=settings,
        collection=collection,
        index=index,
        engines=engines,
        progress=progress,
    )


def prepare_run_vectors(workspace: Workspace, run: Run, progress: Progress = silent) -> Folder:
    """The passages' vectors that a run's queries are for; its own are encoded, unless that is done already."""
    if run.frozen_vectors is None:
        return run.vectors
    return prepare_vectors(workspace, run.config.encoder, progress, run=run.folder)


def evaluate_baseline(
    workspace: Workspace,
    baseline: str,
    experiment: ExperimentConfig,
    *,
    split: str,
    engines: Engines = NO_ENGINES,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate ``baseline:context``, ``baseline:last`` or ``baseline:rewrite:TEACHER`` with the frozen encoder.

    Raises:
        ConfigError: If there is no such baseline.
        WorkspaceError: If the collection is not encoded, or the teacher has no rewrites of the split.
    """
    _, _, kind = baseline.partition(":")
    kind, _, teacher = kind.partition(":")
    if kind not in {"context", "last", "rewrite"} or (kind == "rewrite") != bool(teacher):
        raise ConfigError([f"{baseline!r} is no baseline; there are {', '.join(BASELINES)}"])
    vectors = vectors_stage(workspace, experiment.encoder).folder
    vectors.require("prepare it first: retort prepare --help")
    encoder = experiment.encoder
    identity: dict[str, str] = {}
    config: dict[str, object] = {"baseline": baseline, "rewrite_terms": encoder.rewrite_terms}
    rewrites: dict[str, str] = {}
    if kind == "rewrite":
        questions = judged_turns(workspace, experiment, split)
        source = str(questions.config.get("of", split))
        rewrites = read_rewrites(workspace, teacher, source)
        identity["rewrites"] = workspace.folder(f"rewrites/{teacher}/{source}").require("add them").fingerprint
        config["rewrite_tokens"] = encoder.rewrite_tokens
    else:
        config["query_tokens"] = encoder.query_tokens
    if kind == "context":
        config["context"] = experiment.context.identity()

    def encode(turns: Sequence[Turn], opened: Collection) -> SparseVectors:
        texts = TextEncoder(encoder, opened.tokenizer)
        if kind == "rewrite":
            # A turn that the teacher has not rewritten is asked as it is.
            return texts.rewrites([rewrites.get(turn.query_id, turn.question) for turn in turns])
        if kind == "last":
            return texts.ids(
                [
                    opened.tokenizer.context_ids(t.question, [], order="newest_first", max_tokens=encoder.query_tokens)
                    for t in turns
                ]
            )
        return texts.ids(context_input_ids(turns, experiment, opened.tokenizer))

    return evaluate(
        workspace,
        experiment,
        encode,
        vectors=vectors,
        parent=BASELINE.evaluations(baseline),
        tag=baseline,
        identity=identity,
        config=config,
        split=split,
        settings=experiment.evaluation,
        engines=engines,
        progress=progress,
    )


def evaluate(
    workspace: Workspace,
    experiment: ExperimentConfig,
    encode: Callable[[Sequence[Turn], Collection], SparseVectors],
    *,
    vectors: Folder,
    parent: str,
    tag: str,
    identity: Mapping[str, str],
    split: str,
    settings: EvaluationConfig,
    config: Mapping[str, object] | None = None,
    collection: Collection | None = None,
    index: ExactIndex | None = None,
    engines: Engines = NO_ENGINES,
    progress: Progress = silent,
) -> Evaluation:
    """Encode a split's turns, retrieve for them and measure, unless that is done already.

    Args:
        workspace: Where the evaluation is kept; turns and judgements are where the vectors are.
        experiment: Whose ``corpus.validate`` defines the held-out turns.
        encode: Turns -> query vectors.
        vectors: The encoded collection.
        parent: Folder below which the evaluation is kept.
        tag: Sixth column of the run.
        identity: Fingerprints of what encodes.
        split: Of the workspace, or ``validate``.
        settings: Engine and depth.
        config: What else changes the result.
        collection: Open already, or None.
        index: Open already, or None.
        engines: By name, those that ``settings.engine`` may name beside ``exact``.
        progress: Told what happens.
    """
    corpus = vectors.workspace
    engine = engine_of(engines, settings.engine)
    if engine is not None:
        engine.check()  # before anything is encoded
    questions = judged_turns(corpus, experiment, split)
    elsewhere = {OUT_OF_DOMAIN: True} if corpus.root != workspace.root else {}
    stage = workspace.stage(
        STAGE,
        VERSION,
        label=f"{parent}/{PurePath(corpus.root).name}-{split}-{settings.engine}",
        config={**questions.config, **(config or {}), **settings.identity(), **elsewhere},
        inputs={
            **questions.inputs,
            **identity,
            "vectors": vectors.require("prepare the collection first: retort prepare --help").fingerprint,
        },
    )
    with stage.writing() as writer:
        if writer.finished is not None:
            progress(STAGE, 1, 1, f"{stage.folder.name} is there already")
            return Evaluation(stage.folder, stage.folder.read_json(EVALUATION.measures), writer.finished, reused=True)
        progress(STAGE, 0, len(questions.turns), f"{tag} on {len(questions.turns)} turns of {split}")
        opened = collection if collection is not None else Collection(vectors)
        queries = encode(questions.turns, opened)
        query_ids = [turn.query_id for turn in questions.turns]
        rankings = search_collection(opened, queries, settings.top_k, index=index, progress=progress)
        exact: Mapping[str, Mapping[str, float]] = run_scores(query_ids, rankings, opened.doc_ids)
        run = exact
        if engine is not None:
            deployed = engine.retrieve(
                corpus,
                vectors,
                queries,
                query_ids,
                top_k=settings.top_k,
                bits=settings.quantization_bits,
                progress=progress,
            )
            run = deployed.run
        measures, table = measure(
            questions.turns,
            questions.judgements,
            run,
            queries,
            opened.passage_share,
            relevant_from=questions.relevant_from,
        )
        if engine is not None:
            measures |= loss_measures(
                questions.judgements,
                exact,
                run,
                relevant_from=questions.relevant_from,
                index_bytes=deployed.index_bytes,
            )
        writer.add(
            stage.folder.write_bytes(EVALUATION.measures, (json.dumps(measures, indent=1) + "\n").encode()),
            stage.folder.write_table(EVALUATION.per_turn, table),
            stage.folder.write_bytes(EVALUATION.run, trec_run(run, tag=tag).encode()),
            # Of no version of its own: evaluations from before it are as good, and `retort show qrels` prints theirs.
            stage.folder.write_bytes(EVALUATION.qrels, trec_qrels(questions.judgements).encode()),
        )
        buffer = io.BytesIO()
        np.savez(buffer, indptr=queries.indptr, indices=queries.indices, values=queries.values)
        writer.add(stage.folder.write_bytes(EVALUATION.queries, buffer.getvalue()))
        writer.counts |= {name: value for name, value in measures.items() if name != "by_turn"}
        progress(STAGE, len(questions.turns), len(questions.turns))
    return Evaluation(stage.folder, measures, writer.record, reused=False)
