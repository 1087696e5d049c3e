"""What a sweep came to: its trials on disk, its front, and the figures drawn from them."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retort.errors import WorkspaceError
from retort.measures.pareto import hypervolume, log_flops_hypervolume
from retort.report.front import TrialPoint, front_json, plot_front_png, write_front_html
from retort.report.sweeps import DESCRIPTION, FRONT, mark_front, read_trials, trial_file
from retort.storage import Folder, StageWriter, Workspace

__all__ = [
    "Objectives",
    "Sweep",
    "find_sweep",
    "front_hypervolume",
    "mark_front",
    "read_trials",
    "trial_bytes",
    "trial_file",
    "write_front",
]

RESULT = FRONT
CHAMPION_LOSS = 0.02  # relative, of the best trial's: what the literature gives for sparsity
PNG, HTML = "front.png", "front.html"
Objectives = Mapping[str, Literal["max", "min"]]


@dataclass(frozen=True)
class Sweep:
    """A sweep that has ended.

    Attributes:
        folder: ``sweeps/<name>``.
        name: The search space's.
        points: Its trials in the order in which they ended, the front's with their evaluation.
        objectives: Two measures and their directions.
        hypervolume: What the front dominates, see ``front_hypervolume``.
        reference: Its reference point.
        split: What the front was evaluated on.
        baselines: Measures of the baselines on that split.
    """

    folder: Folder
    name: str
    points: list[TrialPoint]
    objectives: Objectives
    hypervolume: float
    reference: dict[str, float]
    split: str | None
    baselines: dict[str, dict[str, Any]]

    @property
    def front(self) -> list[TrialPoint]:
        """The trials that no other dominates."""
        return [point for point in self.points if point.on_front]

    def champion(self) -> TrialPoint:
        """The point of the front that a sweep's first question asks for, on the validation turns.

        With one objective to be maximised and one to be minimised: the least of the latter at no more than 2 % (relative)
        less of the former than the best trial has. With two of a kind: the best of the first.

        Raises:
            WorkspaceError: If no trial finished.
        """
        if not self.front:
            raise WorkspaceError(f"{self.folder.name}: no trial finished, so that there is no champion")
        up = [name for name, way in self.objectives.items() if way == "max"]
        down = [name for name, way in self.objectives.items() if way == "min"]
        if len(up) != 1:
            first, way = next(iter(self.objectives.items()))
            sign = 1 if way == "max" else -1
            return max(self.front, key=lambda point: sign * point.validation[first])
        least = (1 - CHAMPION_LOSS) * max(point.validation[up[0]] for point in self.front)
        within = [point for point in self.front if point.validation[up[0]] >= least]
        return min(within, key=lambda point: point.validation[down[0]])

    @property
    def failed(self) -> list[TrialPoint]:
        """The trials that failed."""
        return [point for point in self.points if point.status == "failed"]

    def to_json(self) -> dict[str, Any]:
        """The sweep as one JSON document; ``front`` has the points that the front consists of."""
        return {
            "sweep": self.folder.name.removeprefix("sweeps/"),
            "objectives": dict(self.objectives),
            "hypervolume": self.hypervolume,
            "reference": self.reference,
            "split": self.split,
            "front": front_json(self.points),
            "baselines": self.baselines,
            "trials": [asdict(point) for point in self.points],
        }

    @classmethod
    def read(cls, folder: Folder) -> "Sweep":
        """Read a sweep that has ended."""
        folder.require("the sweep has not ended; go on with --resume")
        data = folder.read_json(RESULT)
        return cls(
            folder,
            folder.read_json(DESCRIPTION)["name"],
            [TrialPoint(**point) for point in data["trials"]],
            data["objectives"],
            data["hypervolume"],
            data["reference"],
            data["split"],
            data["baselines"],
        )


def trial_bytes(point: TrialPoint) -> bytes:
    """An ended trial as it stands in its file."""
    return (json.dumps(asdict(point), indent=1) + "\n").encode()


def find_sweep(workspace: Workspace, name: str) -> Sweep:
    """A sweep that has ended, by its name or an unambiguous beginning of it.

    Raises:
        WorkspaceError: If there is none, or more than one.
    """
    name = name.removeprefix("sweeps/").rstrip("/")
    known = [folder.name.removeprefix("sweeps/") for folder in workspace.stages("sweeps")]
    found = [sweep for sweep in known if sweep == name] or [sweep for sweep in known if sweep.startswith(name)]
    if len(found) != 1:
        listed = ", ".join(found or known) or "none; run one first: retort sweep --help"
        problem = f"{len(found)} sweeps match" if found else "no sweep"
        raise WorkspaceError(f"workspace {workspace.url}: {problem} {name!r}: {listed}")
    return Sweep.read(workspace.folder(f"sweeps/{found[0]}"))


def front_hypervolume(points: Sequence[TrialPoint], objectives: Objectives, reference: Mapping[str, float]) -> float:
    """What the finished trials dominate, on the validation turns.

    With FLOPS as one objective and a measure that lies in [0, 1] as the other, the area lies over log10 FLOPS (a halving
    counts the same everywhere, below 0.05 nothing is won any more); otherwise over the plain values.
    """
    finished = [point for point in points if point.status == "finished"]
    if not finished:
        return 0.0
    others = [name for name in objectives if name != "FLOPS"]
    if len(others) == 1 and others[0] != "L0" and objectives[others[0]] == "max" and objectives["FLOPS"] == "min":
        (measure,) = others
        return log_flops_hypervolume(
            np.array([point.validation[measure] for point in finished]),
            np.array([point.validation["FLOPS"] for point in finished]),
            recall_reference=reference[measure],
            flops_reference=reference["FLOPS"],
        )
    values = np.array([[point.validation[name] for name in objectives] for point in finished])
    return hypervolume(values, [reference[name] for name in objectives], [way == "max" for way in objectives.values()])


def write_front(sweep: Sweep, writer: StageWriter) -> None:
    """Write the front as JSON, PNG and HTML into the sweep's folder."""
    title = f"{sweep.name}: {len(sweep.front)} of {len(sweep.points)} trials on the front"
    draw: dict[str, Callable[..., None]] = {PNG: plot_front_png, HTML: write_front_html}
    with tempfile.TemporaryDirectory() as temporary:
        for name, function in draw.items():
            path = Path(temporary, name)
            function(sweep.points, path, title=title, objectives=sweep.objectives)
            writer.add(sweep.folder.write_bytes(name, path.read_bytes()))
    writer.add(sweep.folder.write_bytes(RESULT, (json.dumps(sweep.to_json(), indent=1) + "\n").encode()))
