"""Collections in every form: the same passages, whole files or an error, and places across several files."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.formats.packings import PACKINGS

from retort.corpora.importing import ImportRequest, import_collection
from retort.corpora.official.published import differences, official_part, published_counts
from retort.corpora.passages import PassageFile, PassageFiles
from retort.errors import DataError
from retort.records import Passage
from retort.storage import Workspace

PASSAGES = [Passage("a1", "Rome", 'It is "old.'), Passage("b2", "", "Hills\u2028seven"), Passage("c3", "T", "x" * 50)]


def tsv():
    rows = [f"{p.doc_id}\t{p.text}\t{p.title}" for p in PASSAGES]
    return "\n".join(["id\ttext\ttitle", *rows, ""]).encode()


def jsonl(keys=("doc_id", "title", "text")):
    return "".join(
        json.dumps(dict(zip(keys, (p.doc_id, p.title, p.text), strict=True))) + "\n" for p in PASSAGES
    ).encode()


def parquet():
    sink = pa.BufferOutputStream()
    columns = {
        n: [getattr(p, k) for p in PASSAGES] for n, k in (("_id", "doc_id"), ("title", "title"), ("text", "text"))
    }
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


FORMS = {"c.tsv": tsv(), "c.jsonl": jsonl(), "c.parquet": parquet(), "c.ndjson": jsonl(("pid", "title", "contents"))}


def read(*paths, **options):
    return [p for _, p in PassageFiles(paths, **options).passages()]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_holds_the_same_passages(name, packing, tmp_path):
    path = tmp_path / f"{name}{packing}"
    path.write_bytes(PACKINGS[packing](FORMS[name]))
    assert read(path) == PASSAGES
    path.write_bytes(path.read_bytes()[:-9])
    if packing or name.endswith("parquet"):
        kind = {"": "parquet", ".gz": "gzip", ".zst": "zstd"}[packing]
        with pytest.raises(DataError, match=rf"is no whole {kind} file .*; was the download cut off\?"):
            read(path)


def test_two_columns_and_no_header(tmp_path):
    (tmp_path / "collection.tsv").write_text("7\tseven\n8\teight\n")
    assert read(tmp_path / "collection.tsv") == [Passage("7", "", "seven"), Passage("8", "", "eight")]
    sources = PassageFiles([PassageFile(tmp_path / "collection.tsv", "MARCO_")], excluded={"MARCO_8"})
    assert [p.doc_id for _, p in sources.passages()] == ["MARCO_7"] and sources.left_out == 1


def test_a_folder_is_its_files_by_name_and_an_error_names_the_right_one(tmp_path):
    (tmp_path / "c/b").mkdir(parents=True)
    (tmp_path / "c/README.md").write_text("no passages")
    (tmp_path / "c/z.tsv").write_text("1\tone\n2\ttwo\n")
    (tmp_path / "c/b/y.jsonl").write_text('{"id": 3, "contents": "three"}\n\n{"id": 4, "contents": "four"}\n')
    assert [p.doc_id for p in read(tmp_path / "c")] == ["3", "4", "1", "2"]
    workspace = Workspace(tmp_path / "w", create=True)
    request = ImportRequest(workspace, None, [tmp_path / "c"])
    done = import_collection(request)
    assert done.report.passages_added == 4 and done.report.split is None
    assert import_collection(request).report.skipped
    (tmp_path / "c/z.tsv").write_text("1\tone\n4\tfour again\n")
    with pytest.raises(DataError, match=r"z\.tsv:2: doc_id '4' is in .*y\.jsonl:3 already; remove one of the two"):
        import_collection(replace(request, workspace=Workspace(tmp_path / "other", create=True)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no passage files"):
        read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.tsv", b"id\ttitle\ttext\n1\ta\tb\n", r"c\.tsv:1: the first line must be the header id/text/title"),
        ("c.tsv", b"1\ta\n2\tb\tc\n", r"c\.tsv:2: expected 2 columns \(id/text\), got 3"),
        ("c.tsv", b"1\ta\n2 3\tb\n", r"c\.tsv:2: the id must be text without blanks"),
        ("c.jsonl", b'{"id": "1", "text": "a"}\n{"id": "2"}\n', r"c\.jsonl:2: the passage has no text or contents"),
        ("c.jsonl", b'{"id": true, "text": "a"}\n', r"c\.jsonl:1: id must be a number or text, got true"),
        ("c.jsonl", b'{"id": "1", "text": ["a"]}\n', r"c\.jsonl:1: text must be valid text"),
        ("c.jsonl", b'{"id": "1", "text": "a"\n', r"c\.jsonl:1: is no JSON line"),
        ("c.jsonl", b"\n\n", r"c\.jsonl:1: holds no passage"),
        ("c.jsonl", b'{"id": ' + b"9" * 5000 + b', "text": "a"}\n', r"c\.jsonl:1: holds a number that is too long"),
    ],
)
def test_a_broken_row_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_parquet_without_the_columns_or_with_nulls_is_refused(tmp_path):
    pq.write_table(pa.table({"id": ["1"], "words": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet:1: has the columns id, words; needed are an id"):
        read(tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": ["1", None], "text": ["a", "b"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet:2: id, title and text must be text"):
        read(tmp_path / "b.parquet")
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", None]}), tmp_path / "c.parquet")
    assert read(tmp_path / "c.parquet") == [Passage("1", "", "a")]


def test_published_counts_stand_beside(tmp_path):
    assert published_counts("topiocqa", "dev")["turns"] == 2_514 and published_counts("topiocqa", None) == {}
    assert published_counts("topiocqa", "train")["turns"] == 45_450 and published_counts("mine", "dev") == {}
    assert official_part("topiocqa", tmp_path / "retriever/all_history/dev.json") == "dev"
    assert official_part("topiocqa", tmp_path / "topics_dev.json") is None  # another corpus in the same form
    assert official_part("qrecc", tmp_path / "scai-qrecc21-training-turns.json") == "train"
    (warning,) = differences({"turns": 2_514, "passages": 5}, {"turns": 2_000, "passages": 5, "judged": 1})
    assert warning.startswith("2,000 turns, published are 2,514: ")
