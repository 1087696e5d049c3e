"""Which turns a student or a baseline is measured on: a split's judged ones, or what an experiment holds out of training."""

from dataclasses import dataclass
from typing import Final

from retort.config import ExperimentConfig, HoldoutConfig
from retort.corpora.holdout import HELD_OUT, validation_conversations
from retort.corpora.turns import read_judgements, read_turns, relevance_threshold, require_turns
from retort.errors import ConfigError, DataError
from retort.records import Turn
from retort.storage import Workspace

__all__ = ["BASELINES", "VALIDATION", "JudgedTurns", "Selection", "judged_turns", "selection"]

VALIDATION: Final = HELD_OUT
BASELINES: Final = ("baseline:context", "baseline:last", "baseline:rewrite:TEACHER")


@dataclass(frozen=True)
class Selection:
    """Which turns are meant, found without reading any of them.

    Attributes:
        source: The split of the corpus that they are in; another one than was asked for where that was ``validate``.
        held_out: Which of its conversations are meant; None: all of them.
        config: The same, as an evaluation's identity has it.
        inputs: Fingerprints of the split's turns and judgements.
    """

    source: str
    held_out: HoldoutConfig | None
    config: dict[str, object]
    inputs: dict[str, str]


@dataclass(frozen=True)
class JudgedTurns:
    """The turns that a student or a baseline is measured on.

    Attributes:
        selection: Which they are.
        turns: In the order of their import.
        judgements: query_id -> doc_id -> relevance.
        relevant_from: Least relevance that counts as relevant where a measure is not graded.
    """

    selection: Selection
    turns: list[Turn]
    judgements: dict[str, dict[str, int]]
    relevant_from: int


def selection(workspace: Workspace, experiment: ExperimentConfig, split: str) -> Selection:
    """The turns of a split; ``validate`` is what the experiment holds out.

    Raises:
        WorkspaceError: If the split is missing.
        ConfigError: If the experiment holds nothing out.
    """
    source = split
    config: dict[str, object] = {"split": split}
    held_out = experiment.corpus.validation if split == VALIDATION else None
    if split == VALIDATION:
        if held_out is None:
            raise ConfigError([f"corpus.validate is null, so that there is no split {VALIDATION!r}"])
        source = held_out if isinstance(held_out, str) else experiment.corpus.train
    inputs = {
        "turns": require_turns(workspace, source).fingerprint,
        "judgements": workspace.folder(f"judgements/{source}").require("import that split first").fingerprint,
    }
    if isinstance(held_out, HoldoutConfig):
        return Selection(
            source, held_out, config | {"held_out": held_out.model_dump(mode="json"), "of": source}, inputs
        )
    return Selection(source, None, config, inputs)


def judged_turns(workspace: Workspace, experiment: ExperimentConfig, split: str) -> JudgedTurns:
    """Read the turns of a split that have judgements; ``validate`` is what the experiment holds out.

    Raises:
        WorkspaceError: If the split is missing.
        ConfigError: If the experiment holds nothing out.
        DataError: If no turn is judged.
    """
    chosen = selection(workspace, experiment, split)
    turns, judgements = read_turns(workspace, chosen.source), read_judgements(workspace, chosen.source)
    if chosen.held_out is not None:
        kept = validation_conversations({turn.conversation_id for turn in turns}, chosen.held_out)
        turns = [turn for turn in turns if turn.conversation_id in kept]
    turns = [turn for turn in turns if judgements.get(turn.query_id)]
    if not turns:
        raise DataError(f"no turn of {chosen.source} is judged: there is nothing to evaluate on")
    judged = {turn.query_id: judgements[turn.query_id] for turn in turns}
    return JudgedTurns(chosen, turns, judged, relevance_threshold(workspace, chosen.source))
