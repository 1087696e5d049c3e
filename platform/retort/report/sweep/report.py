"""A sweep as its report shows it: trials, front, baselines, measures by turn number, importances, and how to run it again.

Everything is read from the workspace and nothing is measured. The report of a sweep that still runs has the trials that have
ended, and their front.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retort.corpora.holdout import HELD_OUT
from retort.corpora.official.published import published_counts
from retort.evaluation.latest import latest_with_measures
from retort.report.paper.published import DISCO, QUESTIONS, REFERENCES, Published
from retort.report.sweep.importance import Importance, importance
from retort.report.sweep.reproduce import Reproduction, reproduction
from retort.storage import Workspace
from retort.storage.layout import EVALUATION, LATENCY, RUN
from retort.sweeps.sweep import Sweep, find_sweep

__all__ = ["SweepReport", "published_points", "sweep_report"]

ByTurn = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class SweepReport:
    """All that the page shows.

    Attributes:
        sweep: The sweep with its trials, front and baselines.
        turns_split: The split that ``by_turn`` was measured on: the front's own, or else the validation turns.
        by_turn: Run of the front, or baseline -> turn number -> measures, with ``n``, the number of turns.
        latencies: Run of the front -> median milliseconds of a turn, where that was measured.
        published: Names and figures of the paper, where the front was evaluated on the paper's turns; otherwise empty.
        importance: How much each searched setting decides.
        reproduction: Commands, versions and files to run it again.
    """

    sweep: Sweep
    turns_split: str
    by_turn: Mapping[str, ByTurn]
    latencies: Mapping[str, float]
    published: Mapping[str, Published]
    importance: Importance
    reproduction: Reproduction


def sweep_report(workspace: Workspace, name: str) -> SweepReport:
    """Gather a sweep's report.

    Args:
        workspace: Where the sweep is.
        name: Its folder below ``sweeps/``, its search space's name, or an unambiguous beginning.

    Raises:
        WorkspaceError: If there is none, or more than one.
    """
    sweep = find_sweep(workspace, name, ended=False)
    turns_split = sweep.split or HELD_OUT
    runs = [point.run for point in sweep.front if point.run is not None]
    evaluations = {run: latest_with_measures(workspace, run, split=turns_split, measures=None) for run in runs}
    for baseline, measures in sweep.baselines.items():
        evaluations[baseline] = latest_with_measures(workspace, baseline, split=turns_split, measures=measures)
    return SweepReport(
        sweep=sweep,
        turns_split=turns_split,
        by_turn={
            name: folder.read_json(EVALUATION.measures)["by_turn"]
            for name, folder in evaluations.items()
            if folder is not None
        },
        latencies=_latencies(workspace, runs, turns_split),
        published=published_points() if sweep.split is not None and _is_topiocqa(workspace, sweep.split) else {},
        importance=importance(sweep.points, sweep.objectives, sweep.settings["search"]),
        reproduction=reproduction(sweep),
    )


def _latencies(workspace: Workspace, runs: Sequence[str], split: str) -> dict[str, float]:
    """Median milliseconds of a turn from its text to its passages, exact, as ``retort latency`` measured them last."""
    latencies = {}
    for run in runs:
        measured = []
        for folder in workspace.stages(RUN.latencies(run)):
            config = folder.require("it is listed").config
            if config["split"] == split and config["engine"] == "exact":
                measured.append((str(config["at"]), folder))
        if measured:
            latest = max(measured, key=lambda pair: pair[0])[1]
            latencies[run] = float(latest.read_json(LATENCY)["single"]["total"]["p50"])
    return latencies


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
