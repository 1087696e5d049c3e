"""The paper's grids of a workspace: found by their search space's name, every finished trial measured."""

from collections.abc import Sequence

from retort.errors import InputError
from retort.progress import Progress, silent
from retort.report.evaluated import Evaluator
from retort.report.paper.published import QUESTIONS, question_of
from retort.report.paper.report import PaperReport, SweepGrid, grid_of
from retort.storage import Workspace
from retort.sweeps.sweep import Sweep, find_sweeps, list_sweeps

__all__ = ["paper_report"]


def paper_report(
    workspace: Workspace, *, split: str, names: Sequence[str] = (), progress: Progress = silent
) -> PaperReport:
    """Measure the trials of the paper's grids on a split, and set them beside the published figures.

    Args:
        workspace: Holds the sweeps and their runs.
        split: The split that is reported on; trials that were not measured on it yet are measured now.
        names: Sweeps or beginnings of their names; none: every sweep that asks one of the paper's questions.
        progress: Called for every run.

    Raises:
        InputError: If there is no such sweep, none has a finished trial, or a named one asks none of the paper's questions.
    """
    sweeps = _chosen(workspace, names)
    evaluator = Evaluator(workspace, split, progress)
    grids = []
    for question in QUESTIONS:
        for sweep in sweeps:
            if question_of(sweep.name) is question and sweep.finished:
                runs = evaluator.seeded(sweep)
                failed = len(sweep.points) - len(sweep.finished)
                grid = grid_of(question, runs, evaluator.turns)
                grids.append(SweepGrid(sweep.label, sweep.trials, failed, grid, sweep.ended))
    if not grids:
        raise InputError(f"{', '.join(sweep.label for sweep in sweeps)}: no trial has finished yet")
    return PaperReport(split, tuple(grids))


def _chosen(workspace: Workspace, names: Sequence[str]) -> list[Sweep]:
    spaces = ", ".join(question.space for question in QUESTIONS)
    if not names:
        asked = [sweep for sweep in list_sweeps(workspace) if question_of(sweep.name) is not None]
        if not asked:
            raise InputError(
                f"workspace {workspace.url} has no sweep of the paper's questions ({spaces}): "
                "retort sweep search_spaces/paper_contrastive.yaml --help"
            )
        return asked
    chosen = {sweep.label: sweep for name in names for sweep in find_sweeps(workspace, name)}
    for sweep in chosen.values():
        if question_of(sweep.name) is None:
            raise InputError(f"{sweep.label} asks none of the paper's questions: {spaces}")
    return list(chosen.values())
