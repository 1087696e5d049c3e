"""Every command reads the same run and the same qrels alike, however they are packed and whatever else stands in them."""

import json

import pytest
from tests.formats.packings import PACKINGS

from retort.corpora.collection import passage_rows
from retort.corpora.turns import read_judgements
from retort.storage import Workspace

QUERIES = ("a_1", "a_2", "b_1")
CORPORA = ("jsonl", "beir", "msmarco")
PASSAGES = ("d1", "d2", "d3")
QRELS = "\ufeff# judged by hand\na_1 0 d1 1.0\n\n  # the second\na_2 0 d2 2\r\na_2 0 d3 0\nb_1\t0\td3\t1\n"
BEIR_QRELS = "# judged by hand\nquery-id\tcorpus-id\tscore\na_1\td1\t1.0\na_2\td2\t2\na_2\td3\t0\nb_1\td3\t1\n"
JUDGED = {"a_1": {"d1": 1}, "a_2": {"d2": 2, "d3": 0}, "b_1": {"d3": 1}}
# Lines of a_2 stand apart; ranks are wrong; tags differ and are followed by more words.
RUN = (
    "\ufeff# run of hand\na_2 Q0 d1 1 1.5 by hand, at night\na_1 Q0 d1 9 2 hand\n# six words of a comment, at least\n"
    "a_1\tQ0\td2\t9\t1e0\thand\n\na_2 Q0 d2 1 2.5 hand # best\r\nb_1 Q0 d2 1 1 hand\n"
)
RANKED = {"a_1": ["d1", "d2"], "a_2": ["d2", "d1"], "b_1": ["d2"]}
BROKEN = {
    "runs": ("# of hand\na_1 Q0 d1 1 2 hand\n\na_1 Q0 d2 2 hand\n", "expected `query_id Q0 doc_id rank score tag`"),
    "qrels": ("# of hand\na_1 0 d1 1\n\na_1 0 d2 1.5\n", "relevance must be a whole number, got '1.5'"),
}


def packed(path, content, packing):
    path = path.with_name(f"{path.name}{packing}")
    path.write_bytes(PACKINGS[packing](content.encode()))
    return path


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def bring(retort, tmp_path):
    """Imports three turns and passages with the judgements of a packed file, by one of the commands that read such files."""
    texts = {query_id: f"what is {query_id}" for query_id in QUERIES}
    passages = [{"_id": doc_id, "title": "", "text": f"text of {doc_id}"} for doc_id in PASSAGES]
    workspace = tmp_path / "workspace"

    def run(content, packing, *, corpus="jsonl"):
        (tmp_path / "qrels").mkdir()
        qrels = packed(tmp_path / "qrels/dev.tsv", content, packing)
        corpus_file = lines(tmp_path / "corpus.jsonl", passages)
        if corpus == "beir":
            lines(tmp_path / "queries.jsonl", [{"_id": query_id, "text": text} for query_id, text in texts.items()])
            return qrels, retort("import", "beir", tmp_path, "--split", "dev", "-w", workspace)
        if corpus == "msmarco":
            queries = tmp_path / "queries.tsv"
            queries.write_text("".join(f"{query_id}\t{text}\n" for query_id, text in texts.items()))
            words = [corpus_file, "--queries", queries]
        else:
            turns = [
                {"query_id": q, "conversation_id": q[0], "turn_number": int(q[-1]), "question": text}
                for q, text in texts.items()
            ]
            words = [lines(tmp_path / "turns.jsonl", turns), corpus_file]
        return qrels, retort("import", corpus, *words, "--qrels", qrels, "--split", "dev", "-w", workspace)

    return run


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("content", [QRELS, BEIR_QRELS], ids=["trec", "beir's columns"])
def test_every_import_reads_qrels_alike(content, corpus, packing, bring, tmp_path):
    _, done = bring(content, packing, corpus=corpus)
    assert done.code == 0, done.err
    assert read_judgements(Workspace(tmp_path / "workspace"), "dev") == JUDGED


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_every_import_names_the_line_of_broken_qrels(corpus, packing, bring, tmp_path):
    content, message = BROKEN["qrels"]
    path, done = bring(content, packing, corpus=corpus)
    assert done.code == 2 and f"{path}:4: {message}" in done.err
    assert not (tmp_path / "workspace/turns").exists()


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_command_reads_a_run_alike(packing, bring, retort, tmp_path):
    assert bring(QRELS, "")[1].code == 0
    workspace = tmp_path / "workspace"
    path = packed(tmp_path / "hand.run", RUN, packing)

    added = retort("rankings", "add", path, "--teacher", "hand", "--split", "dev", "-w", workspace)
    assert added.code == 0, added.err
    folder = Workspace(workspace).folder("rankings/hand/dev")
    rows = passage_rows(Workspace(workspace), PASSAGES)
    stored = [row for name in folder.record().names(".parquet") for row in folder.read_table(name).to_pylist()]
    assert {row["query_id"]: row["passage_rows"] for row in stored} == {
        query_id: [rows[doc_id] for doc_id in doc_ids] for query_id, doc_ids in RANKED.items()
    }

    alike = [
        f"{query_id} Q0 {doc_id} 1 {-rank} t" for query_id in RANKED for rank, doc_id in enumerate(RANKED[query_id])
    ]
    other = packed(tmp_path / "plain.run", "\n".join(alike), "")
    compared = retort("compare", path, other, "--split", "dev", "-w", workspace, "--json")
    assert compared.code == 0, compared.err
    rows = {(row["run"], row["measure"]): row["mean"] for row in compared.json()["rows"]}
    assert [rows[run.name, "RR"] for run in (path, other)] == [pytest.approx(2 / 3)] * 2
    assert [rows[run.name, "R@10"] for run in (path, other)] == [pytest.approx(2 / 3)] * 2


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_command_names_the_line_of_a_broken_run(packing, bring, retort, tmp_path):
    assert bring(QRELS, "")[1].code == 0
    content, message = BROKEN["runs"]
    path = packed(tmp_path / "hand.run", content, packing)
    other = packed(tmp_path / "plain.run", RUN, "")
    for words in (["rankings", "add", path, "--teacher", "t"], ["compare", path, other], ["compare", other, path]):
        done = retort(*words, "--split", "dev", "-w", tmp_path / "workspace")
        assert done.code == 2 and f"{path}:4: {message}" in done.err, words
