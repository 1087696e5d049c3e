"""A sweep as its report shows it: trials, front, baselines, measures by turn number, importances, and how to run it again.

Everything is read; nothing is measured. A sweep that has not ended has the trials that have, and a front of those.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scipy.stats import spearmanr

from retort.corpora.holdout import HELD_OUT
from retort.corpora.published import published_counts
from retort.errors import WorkspaceError
from retort.report.points import Direction, TrialPoint, front_rows
from retort.report.published import DISCO, QUESTIONS, REFERENCES, Published
from retort.report.sweep_importance import Importance, importance
from retort.report.sweep_reproduce import Reproduction, reproduction
from retort.report.sweeps import FRONT, SweepFiles, find_sweeps, mark_front
from retort.storage import Folder, Workspace

__all__ = ["SweepReport", "published_points", "sweep_report"]

# In the record of an evaluation of another workspace's corpus: retrieval's own constant, whose module needs torch.
OUT_OF_DOMAIN: Final = "out_of_domain"
LATENCY: Final = "latency.json"

ByTurn = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class SweepReport:
    """All that the page shows.

    Attributes:
        sweep: Its files.
        points: Its trials, the front's marked and, once the sweep has ended, evaluated.
        objectives: Two measures and their directions.
        hypervolume: What the front dominates on the validation turns; None: the sweep has not ended.
        reference: Its reference point.
        split: What the front was evaluated on; None: nothing.
        baselines: Their measures on that split.
        turns_split: What ``by_turn`` was measured on: the split, or without one the validation turns.
        by_turn: Run of the front, or baseline -> turn number -> measures with n.
        latencies: Run of the front -> median milliseconds of a turn, where that was measured.
        published: Names and figures of the paper, where the front was evaluated on its turns; otherwise empty.
        importance: Of the searched settings.
        reproduction: Commands, versions and files to run it again.
    """

    sweep: SweepFiles
    points: tuple[TrialPoint, ...]
    objectives: Mapping[str, Direction]
    hypervolume: float | None
    reference: Mapping[str, float]
    split: str | None
    baselines: Mapping[str, Mapping[str, float]]
    turns_split: str
    by_turn: Mapping[str, ByTurn]
    latencies: Mapping[str, float]
    published: Mapping[str, Published]
    importance: Importance
    reproduction: Reproduction

    @property
    def front(self) -> list[TrialPoint]:
        """Its points, the cheapest first; a place here is the point's number wherever it is shown."""
        return front_rows(self.points)

    def flops_predict_latency(self) -> float | None:
        """Spearman's rank correlation of FLOPS with milliseconds over the front's runs; None for fewer than three."""
        pairs = [
            (point.evaluation["FLOPS"], self.latencies[point.run])
            for point in self.front
            if point.run is not None and point.run in self.latencies and point.evaluation is not None
        ]
        if len(pairs) < 3 or any(len(set(column)) < 2 for column in zip(*pairs, strict=True)):
            return None
        return float(spearmanr([flops for flops, _ in pairs], [told for _, told in pairs]).statistic)

    def numbers(self) -> dict[str, int]:
        """Trial -> its number on the front."""
        return {point.trial: number for number, point in enumerate(self.front, start=1)}


def sweep_report(workspace: Workspace, name: str) -> SweepReport:
    """Gather a sweep's report.

    Args:
        workspace: Where the sweep is.
        name: Its folder below ``sweeps/``, its search space's name, or an unambiguous beginning.

    Raises:
        WorkspaceError: If there is none, or more than one.
    """
    found = find_sweeps(workspace, name)
    if len(found) != 1:
        listed = ", ".join(sweep.label for sweep in found)
        raise WorkspaceError(f"workspace {workspace.url}: {len(found)} sweeps match {name!r}: {listed}")
    (sweep,) = found
    objectives: Mapping[str, Direction] = dict(sweep.settings["objectives"])
    ended: dict[str, Any] = sweep.folder.read_json(FRONT) if sweep.ended else {}
    points = [TrialPoint(**point) for point in ended["trials"]] if ended else mark_front(sweep.points, objectives)
    front = front_rows(points)
    split = ended.get("split")
    baselines: dict[str, dict[str, float]] = ended.get("baselines") or {}
    turns_split = split or HELD_OUT
    evaluations: dict[str, Folder] = {}
    for run in [point.run for point in front if point.run is not None]:
        evaluations |= _latest(workspace, run, f"runs/{run}/evaluations", turns_split)
    for baseline in baselines:
        parent = f"baselines/{baseline.removeprefix('baseline:').replace(':', '-')}"
        evaluations |= _latest(workspace, baseline, parent, turns_split, like=baselines[baseline])
    return SweepReport(
        sweep=sweep,
        points=tuple(points),
        objectives=objectives,
        hypervolume=ended.get("hypervolume"),
        reference=ended.get("reference") or {},
        split=split,
        baselines=baselines,
        turns_split=turns_split,
        by_turn={name: folder.read_json("measures.json")["by_turn"] for name, folder in evaluations.items()},
        latencies=_latencies(workspace, [point.run for point in front if point.run is not None], turns_split),
        published=published_points() if split is not None and _is_topiocqa(workspace, split) else {},
        importance=importance(points, objectives, sweep.settings["search"]),
        reproduction=reproduction(sweep, front),
    )


def _latest(
    workspace: Workspace, name: str, parent: str, split: str, like: Mapping[str, float] | None = None
) -> dict[str, Folder]:
    """The last evaluation on a split, if there is one; ``like``: of those that have these measures."""
    found = []
    for folder in workspace.stages(parent):
        record = folder.require("it is listed")
        # A baseline may have been measured with several encoders.
        same = like is None or all(
            math.isclose(record.counts.get(measure, math.nan), like[measure]) for measure in ("R@100", "FLOPS")
        )
        if record.config["split"] == split and OUT_OF_DOMAIN not in record.config and same:
            found.append((record.created, folder.name))
    return {name: workspace.folder(max(found)[1])} if found else {}


def _latencies(workspace: Workspace, runs: Sequence[str], split: str) -> dict[str, float]:
    """Median milliseconds of a turn from its text to its passages, exact, as ``retort latency`` measured them last."""
    told = {}
    for run in runs:
        found = []
        for folder in workspace.stages(f"runs/{run}/latency"):
            config = folder.require("it is listed").config
            if config["split"] == split and config["engine"] == "exact":
                found.append((str(config["at"]), folder))
        if found:
            latest = max(found, key=lambda pair: pair[0])[1]
            told[run] = float(latest.read_json(LATENCY)["single"]["total"]["p50"])
    return told


def _is_topiocqa(workspace: Workspace, split: str) -> bool:
    """Whether a split is TopiOCQA's dev over its whole collection, by their published sizes: names say little."""
    published = published_counts("topiocqa", "dev")
    turns, passages = workspace.folder(f"turns/{split}").record(), workspace.folder("passages").record()
    if turns is None or passages is None:
        return False
    counted = {**turns.counts, "passages": passages.counts.get("passages")}
    return all(counted.get(name) == count for name, count in published.items())


def published_points() -> dict[str, Published]:
    """The paper's rows by name, those that say the same twice once."""
    rows = {"DiSCo": DISCO}
    for question in QUESTIONS:
        rows |= {
            f"{question.title} {value}": row
            for value, row in question.rows.items()
            if row is not DISCO and "FLOPS" in row
        }
    return {**rows, **REFERENCES}
