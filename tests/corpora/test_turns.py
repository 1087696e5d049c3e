"""Turns and judgements: round trip, once per split, and the way out of a missing one."""

import pytest

from retort.corpora.turns import read_judgements, read_turns, relevance_threshold, splits, write_turns
from retort.errors import ConfigError, WorkspaceError
from retort.records import Judgement, Message, Turn
from retort.storage import Workspace

TURNS = [
    Turn("2_1", "2", 1, (), "Who?", None, ("d1",), {}),
    Turn(
        "1_2",
        "1",
        2,
        (Message("user", "What?"), Message("agent", "")),
        "and Ünïcode\n?",
        "yes",
        ("d2", "d1"),
        {"topic": "a", "domain": "b"},
    ),
]
JUDGEMENTS = [Judgement("1_2", "d2", 2), Judgement("1_2", "d1", 0), Judgement("2_1", "d1", 1)]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace", create=True)


def test_turns_and_judgements_come_back_as_they_were(workspace):
    assert write_turns(workspace, "dev", TURNS, JUDGEMENTS, inputs={"topics": "digest"}) is True

    assert read_turns(workspace, "dev") == TURNS
    assert list(read_turns(workspace, "dev")[1].attributes) == ["topic", "domain"]
    assert read_judgements(workspace, "dev") == {"1_2": {"d2": 2, "d1": 0}, "2_1": {"d1": 1}}
    assert splits(workspace) == ["dev"]
    assert workspace.folder("turns/dev").record().counts == {"turns": 2, "conversations": 2}
    assert workspace.folder("judgements/dev").record().counts == {"judgements": 3, "turns": 2}


def test_the_same_again_is_skipped_and_other_content_is_refused(workspace):
    write_turns(workspace, "dev", TURNS, JUDGEMENTS, inputs={"topics": "digest"})

    assert write_turns(workspace, "dev", TURNS, JUDGEMENTS, inputs={"topics": "digest"}) is False
    with pytest.raises(WorkspaceError, match=r"already holds other judgements under the split 'dev'.*choose another"):
        write_turns(workspace, "dev", [], [], inputs={"topics": "another"})
    assert read_turns(workspace, "dev") == TURNS


def test_turns_without_any_judgement_can_be_read(workspace):
    write_turns(workspace, "dev", TURNS, [], inputs={})
    assert read_judgements(workspace, "dev") == {}


@pytest.mark.parametrize("read", [read_turns, read_judgements])
def test_a_missing_split_names_those_there_and_the_import(workspace, read):
    with pytest.raises(WorkspaceError, match=r"has no (turns|judgements)/test; splits there: none; import it first"):
        read(workspace, "test")
    for split in ("train", "dev"):
        write_turns(workspace, split, TURNS, JUDGEMENTS, inputs={})
    with pytest.raises(WorkspaceError, match=r"splits there: dev, train; .*retort import topiocqa .*--split test"):
        read(workspace, "test")


def test_a_split_needs_a_name(workspace):
    for name in ("", "../dev", "a b"):
        with pytest.raises(ConfigError, match=r"split: .* is no name; use letters"):
            write_turns(workspace, name, TURNS, JUDGEMENTS, inputs={})


def test_what_counts_as_relevant_is_the_judgements_own(workspace):
    write_turns(workspace, "dev", TURNS, JUDGEMENTS, inputs={"file": "x"})
    write_turns(workspace, "graded", TURNS, JUDGEMENTS, inputs={"file": "x"}, relevant_from=2)
    assert (relevance_threshold(workspace, "dev"), relevance_threshold(workspace, "graded")) == (1, 2)
    first, second = (workspace.folder(f"judgements/{split}").record() for split in ("dev", "graded"))
    assert first.config == {} and first.fingerprint != second.fingerprint
    turns = [workspace.folder(f"turns/{split}").record().fingerprint for split in ("dev", "graded")]
    assert turns[0] == turns[1]
    with pytest.raises(WorkspaceError, match="already holds other judgements under the split 'graded'"):
        write_turns(workspace, "graded", TURNS, JUDGEMENTS, inputs={"file": "x"})
