"""Rankings from elsewhere: rows and scores as the file has them, what does not fit, and training from them."""

import json
import random

import numpy as np
import pytest

from retort.corpora.collection import passage_rows, read_doc_ids
from retort.corpora.turns import read_judgements, read_turns
from retort.errors import DataError
from retort.progress import silent
from retort.shards.imported import add_rankings, teacher_source
from retort.shards.reader import Collection, TrainingTurns
from retort.storage import Workspace


@pytest.fixture(scope="module")
def rankings(imported_path):
    """Per turn of the training split 12 passages by score, best first; the first positive is in every second one."""
    workspace, drawn = Workspace(imported_path), random.Random(0)
    doc_ids = read_doc_ids(workspace).to_pylist()
    found = {}
    judged = read_judgements(workspace, "train")
    for number, turn in enumerate(read_turns(workspace, "train")):
        others = drawn.sample([d for d in doc_ids if d not in judged[turn.query_id]], 12 - number % 2)
        passages = [*others[:3], *turn.positives[:1][: number % 2], *others[3:]]
        found[turn.query_id] = {doc_id: 20.0 - place for place, doc_id in enumerate(passages)}
    return found


def run_file(path, rankings, *, shuffled=False):
    lines = []
    for query_id, scores in rankings.items():
        mine = [f"{query_id} Q0 {doc_id} 0 {score} tag" for doc_id, score in scores.items()]
        lines += random.Random(1).sample(mine, len(mine)) if shuffled else mine
    path.write_text("\n".join(lines) + "\n")
    return path


def json_file(path, rankings, first=0):
    path.write_text(json.dumps({str(row): scores for row, scores in enumerate(rankings.values(), start=first)}))
    return path


def add(retort, workspace, file, *words, teacher="other", split="train"):
    return retort("rankings", "add", file, "--teacher", teacher, "--split", split, "-w", workspace, *words)


def stored(path, teacher="other"):
    folder = Workspace(path).folder(f"rankings/{teacher}/train")
    return [row for name in folder.record().names(".parquet") for row in folder.read_table(name).to_pylist()]


@pytest.mark.parametrize("form", ["trec", "disco from 0", "disco from 1"])
def test_rankings_are_those_of_the_file_in_the_turns_order(form, retort, imported_copy, rankings, tmp_path):
    if form == "trec":
        file = run_file(tmp_path / "other.run", rankings, shuffled=True)
    else:
        file = json_file(tmp_path / "run.json", rankings, first=int(form[-1]))
    done = add(retort, imported_copy, file, "--json")
    assert done.code == 0, done.err

    rows = passage_rows(Workspace(imported_copy), {d for scores in rankings.values() for d in scores})
    assert [row["query_id"] for row in stored(imported_copy)] == list(rankings)
    for row in stored(imported_copy):
        wanted = rankings[row["query_id"]]
        assert row["passage_rows"] == [rows[doc_id] for doc_id in wanted]
        assert row["scores"] == list(wanted.values()) and row["rewrite_indices"] == []
    told = done.json()
    turns = read_turns(Workspace(imported_copy), "train")
    assert told == {
        "ranked": len(turns), "turns": len(turns), "passages": 12 * len(turns), "unknown": 0, "skipped": False,
        "positives": told["positives"], "positives_ranked": len(turns) // 2,
    }  # fmt: skip
    assert told["positives"] >= len(turns)
    assert add(retort, imported_copy, file, "--json").json() == told | {"skipped": True}


def test_equal_scores_keep_the_files_order(retort, imported_copy, rankings, tmp_path):
    equal = {query_id: dict.fromkeys(scores, 1.0) for query_id, scores in rankings.items()}
    assert add(retort, imported_copy, json_file(tmp_path / "run.json", equal)).code == 0
    rows = passage_rows(Workspace(imported_copy), {d for scores in rankings.values() for d in scores})
    assert [row["passage_rows"] for row in stored(imported_copy)] == [[rows[d] for d in s] for s in equal.values()]


@pytest.mark.parametrize("block_passages", [1, 50, 1_000_000])
def test_a_turns_lines_may_stand_apart(block_passages, imported_copy, rankings, tmp_path):
    lines = run_file(tmp_path / "other.run", rankings, shuffled=True).read_text().splitlines()
    file = tmp_path / "apart.run"
    file.write_text("\n".join(random.Random(2).sample(lines, len(lines))))
    workspace = Workspace(imported_copy)

    def add_in_blocks(teacher):
        return add_rankings(
            workspace,
            file,
            teacher=teacher,
            split="train",
            format="trec",
            block_passages=block_passages,
            progress=silent,
        )

    add_in_blocks("other")
    rows = passage_rows(workspace, {d for scores in rankings.values() for d in scores})
    wanted = [([rows[d] for d in scores], list(scores.values())) for scores in rankings.values()]
    assert [(row["passage_rows"], row["scores"]) for row in stored(imported_copy)] == wanted
    with file.open("a") as stream:
        stream.write(f"\n{file.read_text().splitlines()[0]}\n")
    with pytest.raises(DataError, match=r"ranks .* remove one of the two") as caught:
        add_in_blocks("twice")
    assert caught.value.line == len(lines) + 1


@pytest.mark.parametrize("score", ["inf", "-inf", "1e39"])
def test_a_score_that_no_student_can_learn_from_is_named_with_its_line(
    score, retort, imported_copy, rankings, tmp_path
):
    file = run_file(tmp_path / "x.run", rankings)
    with file.open("a") as stream:
        stream.write(f"{next(iter(rankings))} Q0 d 1 {score} tag\n")
    done = add(retort, imported_copy, file, "--allow-missing")
    assert (
        done.code == 2 and f"{file}:{len(file.read_text().splitlines())}: the score of 'd' must be a finite" in done.err
    )


def test_unknown_passages_are_an_error_with_their_line_or_left_out_and_counted(
    retort, imported_copy, rankings, tmp_path
):
    (first, scores), *rest = rankings.items()
    file = run_file(tmp_path / "r.run", {first: {**dict(list(scores.items())[:2]), "nowhere": 1.0}, **dict(rest)})
    done = add(retort, imported_copy, file)
    assert done.code == 2 and f"{file}:3: the collection has no passage 'nowhere'" in done.err
    assert Workspace(imported_copy).folder("rankings/other/train").record() is None
    counted = add(retort, imported_copy, file, "--allow-missing", "--json").json()
    assert counted["unknown"] == 1 and counted["ranked"] == len(rankings)


def test_rows_must_be_the_turns(retort, imported_copy, rankings, tmp_path):
    n = len(rankings)
    some = dict(list(rankings.items())[:-1])
    fewer = add(retort, imported_copy, json_file(tmp_path / "a.json", some))
    assert fewer.code == 2 and f"ranks {n - 1:,} rows, the split 'train' has {n:,} turns" in fewer.err
    unclear = add(
        retort, imported_copy, json_file(tmp_path / "b.json", dict(list(some.items())[:-1]), 1), "--allow-missing"
    )
    assert unclear.code == 2 and "say it with --first-row" in unclear.err
    beyond = add(retort, imported_copy, json_file(tmp_path / "c.json", rankings, 2), "--first-row", "0")
    assert beyond.code == 2 and f"c.json:1: row {n} is none of the rows 0 to {n - 1}" in beyond.err
    part = add(
        retort, imported_copy, json_file(tmp_path / "d.json", some, 1), "--allow-missing", "--first-row", "1", "--json"
    )
    assert part.json()["ranked"] == n - 1
    assert [row["query_id"] for row in stored(imported_copy)] == list(some)


def test_other_turns_and_other_formats_are_refused(retort, imported_copy, rankings, tmp_path):
    done = add(retort, imported_copy, run_file(tmp_path / "x.run", {"nobody": {"d": 1.0}}))
    assert done.code == 2 and "x.run:1: the split 'train' has no turn 'nobody'" in done.err
    done = add(retort, imported_copy, run_file(tmp_path / "x.run", rankings), "--format", "disco")
    assert done.code == 2 and "x.run:1: expected an object of rankings by row" in done.err
    done = add(retort, imported_copy, tmp_path / "x.run", "--format", "csv")
    assert done.code == 2 and "'--format': 'csv' is not one of 'trec', 'disco'" in done.err
    done = add(retort, imported_copy, tmp_path / "x.run", teacher="synthetic")
    assert done.code == 2 and "synthetic has rewrites of 'train'" in done.err


def test_shifted_ids_are_suspected(retort, imported_copy, rankings, tmp_path):
    without = {q: {d: s for d, s in scores.items() if s != 17.0} for q, scores in rankings.items()}
    assert "shifted" in add(retort, imported_copy, run_file(tmp_path / "x.run", without)).out


@pytest.mark.ray
def test_a_student_is_trained_from_rankings_alone_and_beside_a_teacher_with_rewrites(
    retort, prepared_copy, rankings, experiment_file, tmp_path
):
    assert add(retort, prepared_copy, json_file(tmp_path / "run.json", rankings)).code == 0
    words = ["teacher.top_k=10", "sampling.window=[0, 10]", "sampling.count=4"]
    workspace = Workspace(prepared_copy)
    for names in ("[other]", "[synthetic, other]"):
        done = retort("prepare", experiment_file, "-w", prepared_copy, *words, f"teacher.names={names}")
        assert done.code == 0, done.err
    alone, both = (
        next(TrainingTurns(s) for s in workspace.stages("training") if s.record().config["teachers"] == names)
        for names in (["other"], ["synthetic", "other"])
    )
    rows = passage_rows(workspace, {d for scores in rankings.values() for d in scores})
    bounds = 0
    for number, query_id in enumerate(alone.query_ids):
        ranked, scores, positive_scores = alone.ranking(number)
        wanted = list(rankings[query_id].items())[:10]  # cut at top_k
        assert ranked.tolist() == [rows[doc_id] for doc_id, _ in wanted]
        assert scores.tolist() == [score for _, score in wanted]
        own = {rows[doc_id]: score for doc_id, score in wanted}
        assert positive_scores.tolist() == [own.get(row, 11.0) for row in alone.positive_rows(number).tolist()]
        bounds += sum(row not in own for row in alone.positive_rows(number).tolist())
    assert alone.record.counts["positives_without_own_score"] == bounds > 0
    assert both.query_ids == alone.query_ids and len(both.ranking(0)[0]) > 10
    vectors = Collection(workspace.stages("vectors")[0]).vectors
    assert len(both.rewrite_vectors("other", [0], vectors.vocabulary_size).row(0)[0]) == 0

    done = retort(
        "distill", experiment_file, "-w", prepared_copy, *words, "teacher.names=[other]", "training.epochs=1", "--json"
    )
    assert done.code == 0, done.err
    assert np.isfinite(done.json()["last"]["loss"])


def test_a_teachers_scores_come_from_one_place(retort, imported_copy, rankings, tmp_path):
    workspace = Workspace(imported_copy)
    assert teacher_source(workspace, "synthetic", "train") == "rewrites/synthetic/train"
    assert add(retort, imported_copy, json_file(tmp_path / "run.json", rankings)).code == 0
    assert teacher_source(workspace, "other", "train") == "rankings/other/train"
    rewrites = tmp_path / "rewrites.jsonl"
    rewrites.write_text(json.dumps({"id": next(iter(rankings)), "rewrite": "what?"}) + "\n")
    assert retort("rewrites", "add", rewrites, "--teacher", "other", "--split", "train", "-w", imported_copy).code == 0
    experiment = tmp_path / "e.yaml"
    experiment.write_text("teacher: {names: [other]}\nencoder: {model: tiny}\n")
    done = retort("prepare", experiment, "-w", imported_copy)
    assert done.code == 2 and "other has both rewrites and imported rankings of 'train'" in done.err
