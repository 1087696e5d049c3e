"""Stage: turns -> a teacher's rewrites, by an endpoint's model or a local one, paid for once.

``generations/<teacher>/<split>-<fingerprint>/`` holds the journal: every outcome as soon as it is there, failed ones with
their reason. ``rewrites/<teacher>/<split>/`` is written from it when all turns have been asked for; the same command
again asks for those alone that failed, and completes what is there.

An endpoint's work is waiting: threads of this process do it, under one set of limits. A local model's is computing: Ray
Data spreads it, a GPU per process. Either way this process alone writes the journal.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from retort.config import RewritingConfig, checked_name
from retort.corpora.turns import read_turns
from retort.errors import RunError, WorkspaceError
from retort.identity import canonical_json
from retort.progress import Progress
from retort.records import Rewrite, Turn
from retort.shards.session import map_units
from retort.shards.vllm import answer_with_vllm, check_vllm
from retort.storage import Stage, Workspace
from retort.teachers.endpoints import Endpoint, api_key
from retort.teachers.estimate import Estimate, cost, estimate
from retort.teachers.imports import write_rewrites
from retort.teachers.journal import Journal, Tally, tally_of
from retort.teachers.local import LocalModel, check_local, local_digest
from retort.teachers.prompts import Prompt, load_prompt
from retort.teachers.rewriter import Outcome, rewrite_turns

__all__ = ["Generated", "Generation", "generate_rewrites", "plan_generation"]

STAGE = "generation"
VERSION = 1
UNIT_BATCHES = 4  # batches of a local model in one unit of work, which is what a kill may cost


@dataclass(frozen=True)
class Generation:
    """What is to be done: one teacher, one split.

    Attributes:
        workspace: Holds the split.
        teacher: The teacher's name.
        split: The split's.
        settings: Model, prompt, back-end.
        prompt: As its file had it when this was planned.
        stage: Folder of the journal, and identity of the answers.
        finished: Turns that have a rewrite already.
        failed: Turns that were asked for in vain, by reason.
        estimate: Estimated calls, tokens and cost of what is left.
    """

    workspace: Workspace
    teacher: str
    split: str
    settings: RewritingConfig
    prompt: Prompt
    stage: Stage
    finished: int
    failed: dict[str, int]
    estimate: Estimate


@dataclass(frozen=True)
class Generated:
    """Result of a generation, all its runs together.

    Attributes:
        rewrites: Turns with a rewrite.
        turns: Turns of the split.
        asked: Turns that this run asked for.
        failed: Turns without a rewrite by reason, the most frequent first.
        left: Turns that were not asked for, since only so many were to be.
        input_tokens: As the back-end counted them.
        output_tokens: Likewise.
        cost: Price of all these tokens; None where no price was given.
    """

    rewrites: int
    turns: int
    asked: int
    failed: dict[str, int]
    left: int
    input_tokens: int
    output_tokens: int
    cost: float | None


def plan_generation(
    workspace: Workspace, settings: RewritingConfig, *, teacher: str, split: str, limit: int | None = None
) -> Generation:
    """Check all that a generation needs, and estimate what it will take. Nothing is asked, nothing written.

    Args:
        workspace: Holds the split.
        settings: Model, prompt, back-end.
        teacher: The teacher's name in the workspace.
        split: The split to rewrite.
        limit: So many turns in all, the first ones; None: every turn.

    Raises:
        ConfigError: If a name, the prompt, the model or the key is none.
        InputError: If vLLM is not installed.
        WorkspaceError: If the split is missing, or the teacher has rewrites of it from elsewhere.
    """
    checked_name(teacher, "teacher")
    prompt = load_prompt(settings.prompt)
    turns = read_turns(workspace, split)
    identity = settings.identity() | {"prompt": prompt.fingerprint}
    if settings.endpoint is not None:
        api_key(settings.endpoint)
    elif settings.backend == "vllm":
        check_vllm()
    else:
        check_local(settings)
    if settings.backend == "hf" or (settings.backend == "vllm" and Path(settings.model).expanduser().is_dir()):
        identity["model"] = local_digest(settings.model)  # a path says where a model is, its content what it is
    inputs = {"turns": workspace.folder(f"turns/{split}").require("import it first").fingerprint}
    stage = workspace.stage(STAGE, VERSION, label=f"generations/{teacher}/{split}", config=identity, inputs=inputs)
    _check_name_is_free(workspace, stage, teacher, split)
    tally = tally_of(Journal(stage.folder).read())
    pending = _pending(turns[:limit], tally)
    return Generation(
        workspace,
        teacher,
        split,
        settings,
        prompt,
        stage,
        len(tally.rewrites),
        _reasons(tally.failed),
        estimate(pending, prompt, settings),
    )


def _check_name_is_free(workspace: Workspace, stage: Stage, teacher: str, split: str) -> None:
    record = workspace.folder(f"rewrites/{teacher}/{split}").record()
    if record is not None and record.inputs.get(STAGE) != stage.fingerprint:
        raise WorkspaceError(
            f"{teacher} has rewrites of {split!r} already, and they do not come from this model and prompt; nothing was "
            "asked: choose another --teacher, or remove that folder yourself"
        )


def _pending(turns: list[Turn], tally: Tally) -> list[Turn]:
    return [turn for turn in turns if turn.query_id not in tally.rewrites]


def _reasons(failed: dict[str, str]) -> dict[str, int]:
    return dict(Counter(failed.values()).most_common())


def generate_rewrites(plan: Generation, progress: Progress, *, limit: int | None = None) -> Generated:
    """Ask for what is left of a generation, and write the rewrites that are there then.

    Args:
        plan: From ``plan_generation``.
        progress: Called after every outcome.
        limit: As in ``plan_generation``; rewrites are written once no turn is left out.

    Raises:
        RunError: If every turn would fail, or none has a rewrite. What was finished is in the journal.
    """
    turns = read_turns(plan.workspace, plan.split)
    with plan.stage.folder.locked(), Journal(plan.stage.folder) as journal:
        # Read again: another process may have held the lock, and got further.
        before = journal.read()
        tally = tally_of(before)
        pending = _pending(turns[:limit], tally)
        teller = _Teller(plan, progress, tally, total=len(turns[:limit]))

        def keep(outcome: Outcome) -> None:
            journal.append(outcome)
            before.append(outcome)
            teller.tell(outcome)

        if pending:
            _run(plan, pending, keep)
        tally = tally_of(before)
        left = len(turns) - len(tally.rewrites) - len(tally.failed)
        if pending and not tally.rewrites:
            reasons = "; ".join(f"{count:,}: {reason}" for reason, count in _reasons(tally.failed).items())
            raise RunError(f"no turn has a rewrite: {reasons}")
        price = cost(tally.input_tokens, tally.output_tokens, plan.settings.endpoint)
        if not left:
            _commit(plan, tally)
    return Generated(
        rewrites=len(tally.rewrites),
        turns=len(turns),
        asked=len(pending),
        failed=_reasons(tally.failed),
        left=left,
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        cost=price,
    )


def _run(plan: Generation, pending: list[Turn], keep: Callable[[Outcome], None]) -> None:
    settings = plan.settings
    if settings.endpoint is not None:
        endpoint = Endpoint(settings, api_key(settings.endpoint))
        rewrite_turns(pending, plan.prompt, endpoint, on_outcome=keep)
        return
    if settings.backend == "vllm":
        answer_with_vllm(pending, plan.prompt, settings, keep)
        return
    size = settings.batch_turns * UNIT_BATCHES
    places = {turn.query_id: place for place, turn in enumerate(read_turns(plan.workspace, plan.split))}
    numbers = [places[turn.query_id] for turn in pending]
    units = [{"turns": json.dumps(numbers[first : first + size])} for first in range(0, len(numbers), size)]
    arguments = {
        "url": plan.workspace.url,
        "split": plan.split,
        "settings": settings.model_dump(mode="json"),
        "prompt": asdict(plan.prompt),  # a file of the user's lies on this machine alone
    }

    def finished(row: dict[str, Any]) -> None:
        for outcome in json.loads(row["outcomes"]):
            keep(Outcome(**outcome))

    map_units(units, _RewriteUnit, arguments, gpu=True, whole_machine=True, on_result=finished)


class _RewriteUnit:
    """One process: a local model, and the turns that it rewrites with it."""

    def __init__(self, url: str, split: str, settings: dict[str, Any], prompt: dict[str, Any]) -> None:
        self.turns = read_turns(Workspace(url), split)
        self.prompt = Prompt(**{**prompt, "labels": tuple(prompt["labels"])})
        self.model = LocalModel(RewritingConfig.model_validate(settings))

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        turns = [self.turns[number] for number in json.loads(unit["turns"])]
        outcomes = rewrite_turns(turns, self.prompt, self.model)
        return {"outcomes": json.dumps([asdict(outcome) for outcome in outcomes])}


def _commit(plan: Generation, tally: Tally) -> None:
    # What a model answers is no function of what it was asked: the rewrites themselves identify them.
    content = hashlib.sha256(canonical_json(tally.rewrites).encode()).hexdigest()
    write_rewrites(
        plan.workspace,
        [Rewrite(query_id, rewrite) for query_id, rewrite in tally.rewrites.items()],
        teacher=plan.teacher,
        split=plan.split,
        inputs={STAGE: plan.stage.fingerprint, "rewrites": content},
        config=plan.stage.config,
        counts={
            "prompt": plan.prompt.name,
            "failed": _reasons(tally.failed),
            "input_tokens": tally.input_tokens,
            "output_tokens": tally.output_tokens,
        },
        replace=True,
    )


class _Teller:
    """Progress in turns, with the rate of this run, failures, and what has been spent."""

    def __init__(self, plan: Generation, progress: Progress, tally: Tally, *, total: int) -> None:
        self._plan = plan
        self._progress = progress
        self._tally = replace(tally, rewrites={}, failed={})
        self._total = total
        self._done = min(total, len(tally.rewrites))
        self._asked = self._failed = 0
        self._began = time.monotonic()
        progress(f"rewrites {plan.teacher}", self._done, total, f"asking {plan.settings.model}")

    def tell(self, outcome: Outcome) -> None:
        self._asked += 1
        self._done += 1
        self._failed += outcome.rewrite is None
        self._tally = replace(
            self._tally,
            input_tokens=self._tally.input_tokens + outcome.input_tokens,
            output_tokens=self._tally.output_tokens + outcome.output_tokens,
        )
        rate = self._asked / max(time.monotonic() - self._began, 1e-6)
        notes = [f"{rate:.1f} turns/s" if rate >= 1 else f"{rate * 60:.1f} turns/min"]
        notes += [f"{self._failed:,} failed"] if self._failed else []
        spent = cost(self._tally.input_tokens, self._tally.output_tokens, self._plan.settings.endpoint)
        notes += [f"cost so far {spent:.4g}"] if spent is not None else []
        self._progress(f"rewrites {self._plan.teacher}", min(self._done, self._total), self._total, ", ".join(notes))
