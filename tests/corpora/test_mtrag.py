"""Real data, where it is there: MT-RAG's human conversations in TopiOCQA's form, with the rewrites of five teachers."""

import os
from pathlib import Path

import pytest

from retort.corpora.collection import passage_parts, passage_rows
from retort.corpora.importing import ImportRequest
from retort.corpora.readers.topiocqa import import_topiocqa
from retort.corpora.turns import read_judgements, read_turns
from retort.errors import DataError
from retort.storage import Workspace
from retort.teachers.imports import add_rewrites, read_rewrites

MTRAG = Path(os.environ.get("RETORT_MTRAG", Path(__file__).parents[3] / "shared" / "data" / "mtrag"))
EXTRA = {
    "targeted": "claude-sonnet-4.5:targeted (pashaAbri)",
    "dh-rag-lite": "claude-sonnet-4.5:dh-rag-lite (pashaAbri)",
    "informative": "claude-sonnet:informative (pashaAbri)",
    "aggressive": "claude-sonnet:aggressive (pashaAbri)",
}
SIZES = {"train": (543, 79, 1501), "dev": (234, 31, 627)}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not (MTRAG / "collection.tsv").exists(), reason="no mtrag corpus: set RETORT_MTRAG to its folder"
    ),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("mtrag") / "workspace", create=True)
    for split, (turns, conversations, judgements) in SIZES.items():
        request = ImportRequest(workspace, split, [MTRAG / "collection.tsv"], qrels=MTRAG / f"qrels_{split}.txt")
        report = import_topiocqa(request, MTRAG / f"topics_{split}.json").report
        assert (report.turns, report.conversations, report.judgements) == (turns, conversations, judgements)
        assert report.dropped == {} and report.warnings == ()
        assert report.passages_added + report.passages_known == 37_224
    return workspace


def test_the_whole_collection_is_read(workspace):
    assert sum(part.rows for part in passage_parts(workspace)) == 37_224


@pytest.mark.parametrize("split", SIZES)
def test_turns_and_judgements_agree(workspace, split):
    turns, judgements = read_turns(workspace, split), read_judgements(workspace, split)

    assert len(turns) == SIZES[split][0]
    assert {t.query_id: set(t.positives) for t in turns} == {q: set(j) for q, j in judgements.items()}
    assert {t.attributes["domain"] for t in turns} == {"clapnq", "cloud", "fiqa", "govt"}
    assert all(len(t.history) == 2 * (t.turn_number - 1) for t in turns)
    wanted = {doc_id for row in judgements.values() for doc_id in row}
    assert len(passage_rows(workspace, wanted)) == len(wanted)


@pytest.mark.parametrize("split", SIZES)
def test_five_teachers(workspace, split):
    turns = [turn.query_id for turn in read_turns(workspace, split)]
    add_rewrites(workspace, MTRAG / f"rewrites_{split}.jsonl", teacher="mixtral", split=split)
    extra = MTRAG / f"rewrites_extra_{split}.jsonl"
    for teacher, select in EXTRA.items():
        counts = add_rewrites(workspace, extra, teacher=teacher, split=split, select=select)
        assert (counts.rewrites, counts.without) == (len(turns), 0)
    for teacher in ("mixtral", *EXTRA):
        assert list(read_rewrites(workspace, teacher, split)) == turns
    with pytest.raises(DataError, match=r"holds several teachers: .*'claude-sonnet:informative \(pashaAbri\)' \(\d+\)"):
        add_rewrites(workspace, extra, teacher="all", split=split)
