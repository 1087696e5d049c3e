"""What a comparison is of: runs and baselines of a workspace by their evaluations, and TREC runs of other systems.

All are measured on the same judged turns of one split. Another system's run is measured here and kept nowhere.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retort.config import ExperimentConfig, experiment_from
from retort.corpora.turns import read_turns
from retort.errors import InputError
from retort.evaluation.foreign import measure_trec_file
from retort.evaluation.latest import latest_evaluation, latest_experiment
from retort.evaluation.questions import VALIDATION, judged_turns
from retort.evaluation.runs import find_run, run_experiment
from retort.formats.trec import read_trec_run
from retort.measures.registry import SHOWN
from retort.naming import Named
from retort.records import Turn
from retort.report.comparison.compare import PerTurn
from retort.storage import Folder, Workspace
from retort.storage.layout import BASELINE, EVALUATION, EXPERIMENT

__all__ = ["Questions", "System", "judged_questions", "load_systems"]


@dataclass(frozen=True)
class Questions:
    """The judged turns of a split.

    Attributes:
        split: The split as the user named it.
        source: The split of the corpus that the turns come from, which is another one for ``validate``.
        turns: The judged turns.
        of_split: All turns of ``source``.
        judgements: query_id -> doc_id -> relevance.
        relevant_from: Least relevance that counts as relevant where a measure is not graded.
    """

    split: str
    source: str
    turns: Sequence[Turn]
    of_split: Sequence[Turn]
    judgements: Mapping[str, Mapping[str, int]]
    relevant_from: int


@dataclass(frozen=True)
class System:
    """One of the systems that are compared.

    Attributes:
        named: The system as the user named it.
        source: The run's or baseline's folder, or the file.
        per_turn: query_id -> measure -> value; another system's has neither FLOPS nor L0.
        notes: What a reader must know of it, a line each.
        teachers: The teachers whose rewrites it was trained on, or which it asks.
        folder: The folder of its evaluation; None for a file.
        run: query_id -> doc_id -> score; None where ``folder`` has it.
    """

    named: Named
    source: str
    per_turn: PerTurn
    notes: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    folder: Folder | None = None
    run: Mapping[str, Mapping[str, float]] | None = None

    @property
    def label(self) -> str:
        """The name that tables show."""
        return self.named.label

    def rankings(self) -> Mapping[str, Mapping[str, float]]:
        """query_id -> doc_id -> score."""
        if self.run is not None:
            return self.run
        assert self.folder is not None, "a system has an evaluation or a run"
        return read_trec_run(self.folder.read_bytes(EVALUATION.run).decode(), source=self.folder.path(EVALUATION.run))


def judged_questions(workspace: Workspace, split: str, *, run: str | None = None) -> Questions:
    """The judged turns of a split.

    Args:
        workspace: Holds the turns and judgements.
        split: A split, or ``validate``: what the run's experiment holds out.
        run: A run; None: ``validate`` is what the experiment holds out that was prepared last.

    Raises:
        WorkspaceError: If there is no such split, run or experiment.
        DataError: If no turn is judged.
    """
    experiment: ExperimentConfig
    if split != VALIDATION:
        experiment = experiment_from({}, source="defaults")  # says nothing of a split with a name of its own
    elif run is None:
        experiment = latest_experiment(workspace)
    else:
        experiment = run_experiment(find_run(workspace, run))
    found = judged_turns(workspace, experiment, split)
    source = found.selection.source
    of_split = read_turns(workspace, source)
    return Questions(split, source, found.turns, of_split, found.judgements, relevant_from=found.relevant_from)


def load_systems(workspace: Workspace, named: Sequence[Named], *, split: str) -> tuple[list[System], Questions]:
    """Read the evaluations of what is compared, and measure other systems' runs.

    Raises:
        InputError: If two are called alike, or are the same run.
        WorkspaceError: If one was not evaluated on the split; the message says how.
        DataError: If a TREC run is broken or of another split.
    """
    _check_names(named)
    # Runs first: a baseline may have been evaluated with several encoders, and is compared on the runs' footing.
    own = sorted((one for one in named if one.kind != "file"), key=lambda one: one.kind == "baseline")
    first = latest_evaluation(workspace, own[0].target, split=split).require("it was just found") if own else None
    folders = {one: latest_evaluation(workspace, one.target, split=split, like=first) for one in own}
    run = own[0].target if own and own[0].kind == "run" else None
    questions = judged_questions(workspace, split, run=run)
    systems = []
    for one in named:
        systems.append(_other(one, questions) if one.kind == "file" else _evaluated(workspace, one, folders[one]))
    return systems, questions


def _evaluated(workspace: Workspace, named: Named, folder: Folder) -> System:
    rows = folder.read_table(EVALUATION.per_turn).to_pylist()
    per_turn = {row["query_id"]: {name: float(row[name]) for name in SHOWN} for row in rows}
    teachers: list[str] = []
    if named.kind == "run":
        teachers = find_run(workspace, named.target).read_json(EXPERIMENT)["teacher"]["names"]
    elif BASELINE.kind(named.target).startswith("rewrite:"):
        teachers = [named.target.rpartition(":")[2]]
    source = folder.name.rpartition("/evaluations/")[0] or folder.name
    return System(named, source, per_turn, teachers=tuple(teachers), folder=folder)


def _other(named: Named, questions: Questions) -> System:
    measured = measure_trec_file(
        Path(named.target),
        questions.judgements,
        split=questions.split,
        known={turn.query_id for turn in questions.of_split},
        relevant_from=questions.relevant_from,
    )
    return System(named, named.target, measured.per_turn, notes=measured.notes, run=measured.run)


def _check_names(named: Sequence[Named]) -> None:
    for what, values in (("are called", [one.label for one in named]), ("are", [one.target for one in named])):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            labels = " and ".join(one.label for one in named if twice[0] in (one.label, one.target))
            raise InputError(f"{labels} {what} the same, {twice[0]}; name each once (NAME=RUN calls one otherwise)")
