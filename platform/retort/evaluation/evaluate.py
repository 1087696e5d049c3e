"""Students and baselines, evaluated: which queries each makes of a turn, and which collection the queries are for.

A student can be measured on another workspace's corpus, out of its domain: that collection is encoded there with the
student's own frozen passage encoder, and the result is kept with the run. How much such figures say depends on how many of
the ten best passages were judged at all: Judged@10.

Baselines (the raw context, the last question, a teacher's rewrite) are measured on the same footing with the frozen encoder
of the same collection.
"""

from collections.abc import Sequence

from retort.config import EvaluationConfig, ExperimentConfig
from retort.corpora.context import context_ids, context_of
from retort.corpora.turns import require_turns
from retort.errors import ConfigError
from retort.evaluation.engines import NO_ENGINES, Engines
from retort.evaluation.latest import FROZEN_VECTORS
from retort.evaluation.questions import BASELINES, VALIDATION, judged_turns, selection
from retort.evaluation.stage import Evaluation, OpenCollection, Subject, evaluate
from retort.evaluation.students import Run, open_run, prepare_run_vectors
from retort.progress import Progress, silent
from retort.records import Turn
from retort.shards.reader import Collection
from retort.shards.texts import TextEncoder
from retort.shards.vectors import prepare_vectors, vectors_stage
from retort.sparse.tokens import Tokenizer
from retort.sparse.vectors import Int32, SparseVectors
from retort.storage import Folder, Workspace
from retort.storage.layout import BASELINE, RUN
from retort.teachers.imports import read_rewrites, require_rewrites

__all__ = [
    "BASELINES",
    "context_input_ids",
    "evaluate_baseline",
    "evaluate_elsewhere",
    "evaluate_run",
    "evaluate_student",
]


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
    """Evaluate a finished run on a split of another workspace, whose collection is encoded where it is not yet.

    Raises:
        ConfigError: If the split is what an experiment holds out: that is defined in a run's own workspace alone.
        WorkspaceError: If there is no such run or split.
        DataError: If no turn of the split is judged.
    """
    if split == VALIDATION:
        raise ConfigError([f"the split {VALIDATION!r} is of a run's own workspace; name a split of {on.url}"])
    run = open_run(workspace, name)
    judged_turns(on, run.config, split)  # so that a missing split is reported before a collection is encoded
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
    opened: OpenCollection | None = None,
    engines: Engines = NO_ENGINES,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a run, with a collection and an index that may be open already.

    A run that trained its passage encoder is evaluated over its own vectors, which are encoded and indexed when they are first
    needed; what is open already is not of its collection then.

    Args:
        workspace: The run's.
        run: Its student is loaded if something is to be encoded.
        split: A split of the workspace that the vectors are in, or ``validate``.
        settings: Engine and depth.
        vectors: Of another workspace's collection, made with the run's encoder; None: those that its queries are for.
        opened: The collection that the run was trained against, where it is open already.
        engines: By name, those that ``settings.engine`` may name beside ``exact``.
        progress: Called when the evaluation begins and ends, and while something is encoded or indexed for it.
    """

    def encode(turns: Sequence[Turn], collection: Collection) -> SparseVectors:
        from retort.sparse.encoders.encoder import encode_ids

        return encode_ids(run.student, context_input_ids(turns, run.config, run.tokenizer))

    if split != VALIDATION:  # before a collection is encoded
        require_turns(workspace if vectors is None else vectors.workspace, split)
    inputs = {"run": run.folder.require("the run is not finished").fingerprint}
    if run.frozen_vectors is not None:
        inputs[FROZEN_VECTORS] = run.frozen_vectors.require("the run was trained against it").fingerprint
        opened = None
    if vectors is None:
        vectors = prepare_run_vectors(workspace, run, progress)
    subject = Subject(run.name, RUN.evaluations(run.name), run.config, encode, vectors, inputs)
    return evaluate(
        workspace, subject, split=split, settings=settings, opened=opened, engines=engines, progress=progress
    )


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
    kind, _, teacher = BASELINE.kind(baseline).partition(":")
    if kind not in {"context", "last", "rewrite"} or (kind == "rewrite") != bool(teacher):
        raise ConfigError([f"{baseline!r} is no baseline; there are {', '.join(BASELINES)}"])
    encoder = experiment.encoder
    vectors = vectors_stage(workspace, encoder).folder
    vectors.require("prepare it first: retort prepare --help")
    source, inputs = split, {}
    config: dict[str, object] = {"baseline": baseline, "rewrite_terms": encoder.rewrite_terms}
    if kind == "rewrite":
        source = selection(workspace, experiment, split).source
        inputs["rewrites"] = require_rewrites(workspace, teacher, source).fingerprint
        config["rewrite_tokens"] = encoder.rewrite_tokens
    else:
        config["query_tokens"] = encoder.query_tokens
    if kind == "context":
        config["context"] = experiment.context.identity()

    def encode(turns: Sequence[Turn], collection: Collection) -> SparseVectors:
        tokenizer = collection.tokenizer
        texts = TextEncoder(encoder, tokenizer)
        if kind == "rewrite":
            rewrites = read_rewrites(workspace, teacher, source)
            # A turn that the teacher has not rewritten is asked as it is.
            return texts.rewrites([rewrites.get(turn.query_id, turn.question) for turn in turns])
        if kind == "context":
            return texts.ids(context_input_ids(turns, experiment, tokenizer))
        budget = encoder.query_tokens
        return texts.ids(
            [tokenizer.context_ids(turn.question, [], order="newest_first", max_tokens=budget) for turn in turns]
        )

    subject = Subject(baseline, BASELINE.evaluations(baseline), experiment, encode, vectors, inputs, config)
    settings = experiment.evaluation
    return evaluate(workspace, subject, split=split, settings=settings, engines=engines, progress=progress)
