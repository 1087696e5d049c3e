"""Where everything stands in a workspace: the folders of runs, baselines and sweeps, and the names of the files in them.

Who writes a file and who reads it both ask here, so that no name is spelled twice.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["BASELINE", "EVALUATION", "EXPERIMENT", "EXPERIMENT_YAML", "LATENCY", "RUN", "SWEEP", "encoder_label"]

EXPERIMENT: Final = "experiment.json"  # an experiment with every default, beside whatever was made by it
EXPERIMENT_YAML: Final = "experiment.yaml"  # the same, for people: `retort distill` takes it


@dataclass(frozen=True, slots=True)
class _Children:
    """Folders of one kind below a folder of the workspace."""

    parent: str

    def folder(self, name: str) -> str:
        """The folder of a name; a name that is such a folder already stays as it is."""
        return f"{self.parent}/{self.label(name)}"

    def label(self, folder: str) -> str:
        """The name that users see: the folder's own, without its parent."""
        return folder.removeprefix(f"{self.parent}/").rstrip("/")


@dataclass(frozen=True, slots=True)
class _Runs(_Children):
    """``runs/<run>``: a trained student.

    Attributes:
        inputs: Which vectors and training shards it was trained from.
        curves: Losses and measures by step.
        checkpoint: Folder of the student.
        passage_checkpoint: Folder of its passage encoder, where that was trained.
    """

    parent: str = "runs"
    inputs: str = "inputs.json"
    curves: str = "curves.parquet"
    checkpoint: str = "checkpoint"
    passage_checkpoint: str = "passage_checkpoint"

    def evaluations(self, run: str) -> str:
        """Folder of a run's evaluations."""
        return f"{self.folder(run)}/evaluations"

    def latencies(self, run: str) -> str:
        """Folder of a run's measurements of latency."""
        return f"{self.folder(run)}/latency"


@dataclass(frozen=True, slots=True)
class _Baselines:
    """``baselines/<kind>``: evaluations of the raw context, the last question, or a teacher's rewrites.

    Attributes:
        prefix: Begins every baseline's name, and no run's.
    """

    parent: str = "baselines"
    prefix: str = "baseline:"

    def is_name(self, name: str) -> bool:
        """Whether a name is a baseline's."""
        return name.startswith(self.prefix)

    def kind(self, name: str) -> str:
        """``context``, ``last`` or ``rewrite:TEACHER``."""
        return name.removeprefix(self.prefix)

    def evaluations(self, name: str) -> str:
        """Folder of a baseline's evaluations."""
        return f"{self.parent}/{self.kind(name).replace(':', '-')}"


@dataclass(frozen=True, slots=True)
class _Evaluations:
    """``<evaluations>/<split>-<engine>-<fingerprint>``: what was measured.

    Attributes:
        measures: Means, and means by turn number.
        per_turn: One row a judged turn.
        run: The rankings as a TREC run.
        qrels: The judgements as TREC qrels.
        queries: The queries' vectors.
    """

    measures: str = "measures.json"
    per_turn: str = "measures.parquet"
    run: str = "run.trec"
    qrels: str = "qrels.trec"
    queries: str = "queries.npz"


@dataclass(frozen=True, slots=True)
class _Sweeps(_Children):
    """``sweeps/<space>-<fingerprint>``: a search and its front.

    Attributes:
        description: Name, base and settings of the search space.
        trials: Folder of the ended trials.
        proposed: Folder of the trials that were begun: number and configuration, written before a trial runs.
        front: What the sweep found, once it has ended.
        drawings: The front as a picture and as a page.
        page: The whole report.
        tracking: Where MLflow has it.
    """

    parent: str = "sweeps"
    description: str = "sweep.json"
    trials: str = "trials"
    proposed: str = "proposed"
    front: str = "front.json"
    drawings: tuple[str, str] = ("front.png", "front.html")
    page: str = "report.html"
    tracking: str = "tracking.json"

    def trial(self, trial: str) -> str:
        """File of an ended trial."""
        return f"{self.trials}/{trial}.json"

    def proposal(self, trial: str) -> str:
        """File of a trial that was begun."""
        return f"{self.proposed}/{trial}.json"


RUN: Final = _Runs()
BASELINE: Final = _Baselines()
EVALUATION: Final = _Evaluations()
SWEEP: Final = _Sweeps()
LATENCY: Final = "latency.json"  # in a folder of RUN.latencies


def encoder_label(vectors: str) -> str:
    """The encoder's part of the name of a folder of vectors, ``vectors/<encoder>-<fingerprint>``."""
    return vectors.removeprefix("vectors/").rpartition("-")[0]
