"""Families of ablations in a workspace: the sweeps that a name stands for, their trials, and the chosen ones measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from retort.corpora.holdout import HELD_OUT
from retort.errors import InputError
from retort.progress import Progress, silent
from retort.report.evaluated import SEED, Evaluator
from retort.report.families.choice import Family, FamilyTrial, LossFrom, Recalls, choose, unregularised_students
from retort.report.families.report import FamilyReport, family_report
from retort.storage import Workspace
from retort.sweeps.sweep import Sweep, find_sweeps

__all__ = ["fronts_report"]


def fronts_report(
    workspace: Workspace,
    names: Sequence[str],
    *,
    split: str,
    baseline: str | None = None,
    loss_from: LossFrom = "unregularised",
    sure: bool = False,
    progress: Progress = silent,
) -> FamilyReport:
    """Compare families: choose on the validation turns, measure the chosen runs and the fronts on a split.

    Args:
        workspace: Holds the sweeps and their runs.
        names: One for each family: the beginning of its sweeps' names (one sweep for each seed, say), or several joined by
            commas.
        split: The split that is reported on.
        baseline: One of the names; None: the first.
        loss_from: Whose R@100 the choices' loss is counted from, see ``choice.choose``.
        sure: The loss must be within bounds at the worse end of its interval over the validation turns' conversations.
        progress: Called for every run.

    Raises:
        InputError: If fewer than two families are given, one has no sweep or no finished trial, two share a sweep, or a seed has
            no unregularised student.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"fronts are compared of two different families or more, got {', '.join(names) or 'none'}")
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise InputError(f"--baseline {baseline} is none of the families {', '.join(names)}")
    sweeps = {name: _sweeps(workspace, name) for name in names}
    held: dict[str, str] = {}
    for name, own in sweeps.items():
        for sweep in own:
            if sweep.label in held:
                raise InputError(f"{sweep.label} belongs to {held[sweep.label]} and to {name}: name longer beginnings")
            held[sweep.label] = name
    evaluator = Evaluator(workspace, split, progress)
    families = [Family(name, _trials(evaluator, own)) for name, own in sweeps.items()]
    for family in families:
        if not family.trials:
            raise InputError(f"{family.name}: no trial has finished yet")
    unregularised = unregularised_students(families)
    by_turn = _validation_recalls(workspace, families, unregularised, progress) if sure else None
    choices = [choose(family, unregularised, loss_from=loss_from, by_turn=by_turn) for family in families]
    runs = [run for choice in choices for run in choice.runs()] + [trial.run for trial in unregularised.values()]
    runs = list(dict.fromkeys(runs))
    evaluator.measure_all(runs)
    return family_report(
        choices,
        unregularised,
        {run: evaluator.values(run) for run in runs},
        evaluator.turns,
        split=split,
        baseline=baseline,
        baselines=_baselines([sweep for own in sweeps.values() for sweep in own], split),
        loss_from=loss_from,
        sure=sure,
    )


def _validation_recalls(
    workspace: Workspace, families: Sequence[Family], unregularised: Mapping[int, FamilyTrial], progress: Progress
) -> dict[str, Recalls]:
    """R@100 of every trial on its own validation turns, which are the same for all trials with a seed."""
    recalls: dict[str, Recalls] = {}
    for seed, plain in unregularised.items():
        evaluator = Evaluator(workspace, HELD_OUT, progress)
        trials = [trial.run for family in families for trial in family.trials if trial.seed == seed]
        runs = list(dict.fromkeys([plain.run, *trials]))
        evaluator.measure_all(runs)
        recalls |= {run: (evaluator.turns.conversation_ids, evaluator.values(run)["R@100"]) for run in runs}
    return recalls


def _sweeps(workspace: Workspace, name: str) -> list[Sweep]:
    sweeps = {sweep.label: sweep for part in name.split(",") for sweep in find_sweeps(workspace, part.strip())}
    return list(sweeps.values())


def _trials(evaluator: Evaluator, sweeps: Sequence[Sweep]) -> tuple[FamilyTrial, ...]:
    trials: dict[str, FamilyTrial] = {}
    for point in (point for sweep in sweeps for point in sweep.finished):
        assert point.run is not None, "a finished trial has a run"
        experiment = evaluator.experiment(point.run)
        trials[point.run] = FamilyTrial(
            run=point.run,
            setting={key: value for key, value in point.config.items() if key != SEED},
            seed=experiment.training.seed,
            recall=point.validation["R@100"],
            flops=point.validation["FLOPS"],
            regularised=experiment.regularization.is_regularized,
        )
    return tuple(trials.values())


def _baselines(sweeps: Sequence[Sweep], split: str) -> Mapping[str, Mapping[str, Any]]:
    """The baselines of the first sweep that has ended and measured them on the split."""
    return next((sweep.baselines for sweep in sweeps if sweep.split == split and sweep.baselines), {})
