"""Turns and judgements of a split: ``turns/<split>/`` and ``judgements/<split>/``, in import order.

A split is imported once: the same source again is skipped, another source under its name is refused. The turns are
committed last, so that a split which is listed is complete.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import pyarrow as pa

from retort.config import checked_name, did_you_mean
from retort.corpora.holdout import HELD_OUT
from retort.errors import ConfigError, WorkspaceError
from retort.identity import fingerprint
from retort.records import JUDGEMENT_SCHEMA, TURN_SCHEMA, Judgement, Message, Turn
from retort.storage import Record, Workspace

__all__ = [
    "check_split",
    "check_split_name",
    "read_judgements",
    "read_turns",
    "relevance_threshold",
    "require_turns",
    "splits",
    "write_turns",
]

TURNS: Final = "turns"
JUDGEMENTS: Final = "judgements"
VERSION: Final = 1
PART: Final = "part-00000.parquet"
THRESHOLD: Final = "relevant_from"  # in the record of judgements, where it is not 1


def check_split_name(split: str) -> None:
    """Check that a split can have this name; raises ``ConfigError`` if not."""
    checked_name(split, "split")
    if split == HELD_OUT:
        raise ConfigError([f"a split cannot be called {split}: that names the turns which corpus.validate holds out"])


def check_split(workspace: Workspace, split: str, *, inputs: Mapping[str, str], relevant_from: int = 1) -> None:
    """Check before any work that ``write_turns`` with these inputs will not be refused.

    Raises:
        ConfigError: If the split's name is no name.
        WorkspaceError: If the split is there and came from other inputs.
    """
    check_split_name(split)
    for stage in (JUDGEMENTS, TURNS):
        record = workspace.folder(f"{stage}/{split}").record()
        config = _config(stage, relevant_from)
        if record is not None and record.fingerprint != fingerprint(stage, VERSION, config=config, inputs=inputs):
            raise WorkspaceError(
                f"workspace {workspace.url} already holds other {stage} under the split {split!r}; nothing was "
                "overwritten: choose another split or workspace, or remove those folders yourself"
            )


def write_turns(
    workspace: Workspace,
    split: str,
    turns: Iterable[Turn],
    judgements: Iterable[Judgement],
    *,
    inputs: Mapping[str, str],
    relevant_from: int = 1,
) -> bool:
    """Write a split's turns and judgements; False where the same ones were there already.

    Args:
        workspace: The workspace to write to.
        split: Name of the split.
        turns: The turns, in the order in which every reader gets them.
        judgements: Judgements of any relevance, 0 included.
        inputs: Digests of what both were made from; they identify the split.
        relevant_from: Least relevance that counts as relevant where a measure or the training is not graded.

    Raises:
        ConfigError: If the split's name is no name.
        WorkspaceError: If the split is there and came from other inputs.
    """
    check_split(workspace, split, inputs=inputs, relevant_from=relevant_from)
    config = _config(JUDGEMENTS, relevant_from)
    with workspace.folder(f"{JUDGEMENTS}/{split}").writing(JUDGEMENTS, VERSION, config=config, inputs=inputs) as writer:
        if not writer.finished:
            rows = [{"query_id": j.query_id, "doc_id": j.doc_id, "relevance": j.relevance} for j in judgements]
            writer.add(writer.folder.write_table(PART, pa.Table.from_pylist(rows, schema=JUDGEMENT_SCHEMA)))
            writer.counts = {"judgements": len(rows), "turns": len({row["query_id"] for row in rows})}
    with workspace.folder(f"{TURNS}/{split}").writing(TURNS, VERSION, config={}, inputs=inputs) as writer:
        if writer.finished:
            return False
        rows = [_row(turn) for turn in turns]
        writer.add(writer.folder.write_table(PART, pa.Table.from_pylist(rows, schema=TURN_SCHEMA)))
        writer.counts = {"turns": len(rows), "conversations": len({row["conversation_id"] for row in rows})}
    return True


def _config(stage: str, relevant_from: int) -> dict[str, object]:
    return {THRESHOLD: relevant_from} if stage == JUDGEMENTS and relevant_from != 1 else {}


def _row(turn: Turn) -> dict[str, object]:
    return {
        "query_id": turn.query_id,
        "conversation_id": turn.conversation_id,
        "turn_number": turn.turn_number,
        "history": [{"role": message.role, "text": message.text} for message in turn.history],
        "question": turn.question,
        "answer": turn.answer,
        "positives": list(turn.positives),
        "attributes": list(turn.attributes.items()),
    }


def require_turns(workspace: Workspace, split: str) -> Record:
    """The record of a split's turns, none of which is read.

    Raises:
        WorkspaceError: If there is no such split; the message names those that are there.
    """
    return _require(workspace, TURNS, split)


def read_turns(workspace: Workspace, split: str) -> list[Turn]:
    """A split's turns, in import order.

    Raises:
        WorkspaceError: If there is no such split; the message names those that are there.
    """
    table = _table(workspace, TURNS, split, TURN_SCHEMA)
    turns = []
    for row in table.to_pylist():
        row["history"] = tuple(Message(**message) for message in row["history"])
        row["positives"] = tuple(row["positives"])
        row["attributes"] = dict(row["attributes"])
        turns.append(Turn(**row))
    return turns


def read_judgements(workspace: Workspace, split: str) -> dict[str, dict[str, int]]:
    """A split's judgements: query_id -> doc_id -> relevance; turns without one are left out.

    Raises:
        WorkspaceError: If there is no such split; the message names those that are there.
    """
    judgements: dict[str, dict[str, int]] = {}
    columns = _table(workspace, JUDGEMENTS, split, JUDGEMENT_SCHEMA).to_pydict()
    for query_id, doc_id, relevance in zip(*(columns[name] for name in JUDGEMENT_SCHEMA.names), strict=True):
        judgements.setdefault(query_id, {})[doc_id] = relevance
    return judgements


def relevance_threshold(workspace: Workspace, split: str) -> int:
    """Least relevance of a split's judgements that counts as relevant: 1, unless its import said otherwise."""
    record = workspace.folder(f"{JUDGEMENTS}/{checked_name(split, 'split')}").require("import that split first")
    return int(record.config[THRESHOLD]) if THRESHOLD in record.config else 1


def splits(workspace: Workspace) -> list[str]:
    """Names of the splits that are there, sorted."""
    return [folder.name.removeprefix(f"{TURNS}/") for folder in workspace.stages(TURNS)]


def _table(workspace: Workspace, stage: str, split: str, schema: pa.Schema) -> pa.Table:
    record = _require(workspace, stage, split)
    return workspace.folder(f"{stage}/{split}").read_tables(record.names(".parquet"), schema)


def _require(workspace: Workspace, stage: str, split: str) -> Record:
    folder = workspace.folder(f"{stage}/{checked_name(split, 'split')}")
    record = folder.record()
    if record is None:
        there = splits(workspace)
        record = folder.require(
            f"{did_you_mean(split, [*there, HELD_OUT])}splits there: {', '.join(there) or 'none'}; import it first: "
            f"retort import topiocqa TOPICS COLLECTION --split {split} --workspace {workspace.url}"
        )
    return record
