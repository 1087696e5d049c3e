"""``retort compare`` on a real workspace: what may be named, what is told, and what is written."""

import csv
import gzip
import json
import shutil
from pathlib import Path

import pytest

from retort.corpora.turns import read_judgements
from retort.evaluation.runs import list_runs
from retort.storage import Workspace
from retort.tracking import MlflowTracker, default_tracking_uri

RANKING = ("R@100", "R@10", "RR", "nDCG@3")


@pytest.fixture(scope="module")
def path(evaluated_path, tmp_path_factory):
    return Path(shutil.copytree(evaluated_path, tmp_path_factory.mktemp("compared") / "workspace"))


@pytest.fixture(scope="module")
def run(path):
    (name,) = list_runs(Workspace(path))
    return name


@pytest.fixture(scope="module")
def trec(path):
    """The run's own ranking on dev."""
    (file,) = path.glob("runs/*/evaluations/*dev-*/run.trec")
    return file


@pytest.fixture(scope="module")
def compare(path, retort):
    return lambda *words: retort("compare", *words, "-w", path)


def table(workspace, pattern):
    (folder,) = workspace.glob(pattern)
    rows = Workspace(workspace).folder(str(folder.relative_to(workspace))).read_table("measures.parquet").to_pylist()
    return {row["query_id"]: row for row in rows}


def by_run(document):
    return {(row["run"], row["measure"]): row for row in document["rows"]}


def test_a_runs_own_ranking_as_another_systems_is_as_good_as_the_run(compare, run, trec, tmp_path):
    other = tmp_path / "theirs.trec.gz"
    other.write_bytes(gzip.compress(trec.read_bytes()))
    done = compare(run, f"theirs={other}", "--json")
    assert done.code == 0, done.err
    found = by_run(done.json())

    for measure in RANKING:
        ours, theirs = found[run, measure], found["theirs", measure]
        assert theirs["mean"] == pytest.approx(ours["mean"], abs=1e-12) and theirs["ties"] == ours["n"]
    for measure in ("FLOPS", "L0"):
        assert found[run, measure]["mean"] > 0
        assert found["theirs", measure]["mean"] is None and found["theirs", measure]["difference"] is None
    assert [one["kind"] for one in done.json()["systems"]] == ["run", "file"]
    assert done.json()["systems"][1]["source"] == str(other)


def test_turns_that_a_file_lacks_count_0_and_are_told(compare, path, trec, run, tmp_path):
    lines = trec.read_text().splitlines(keepends=True)
    gone = lines[0].split()[0]
    other = tmp_path / "theirs.run"
    other.write_text("".join(line for line in lines if line.split()[0] != gone) + "nobody Q0 x 1 1 t\n")
    done = compare("baseline:last", other, "--json")
    (row,) = [row for row in done.json()["rows"] if row["run"] == "theirs.run" and row["measure"] == "R@100"]

    values = table(path, "runs/*/evaluations/*dev-*")
    expected = sum(value["R@100"] for query_id, value in values.items() if query_id != gone) / len(values)
    assert row["mean"] == pytest.approx(expected)
    unknown, missing = done.json()["systems"][1]["notes"]
    assert unknown == "query_ids that dev does not have, left out: 1 (nobody)"
    # Turns that retrieve nothing are not in our own file either.
    there = {line.split()[0] for line in lines} - {gone}
    absent = [query_id for query_id in values if query_id not in there]
    assert missing.startswith(f"judged turns that it lacks, counted 0: {len(absent)} of {len(values)} ({absent[0]}")
    assert gone in absent
    shown = compare("baseline:last", other)
    assert shown.code == 0 and "theirs.run: query_ids that dev does not have, left out: 1 (nobody)" in shown.out


def test_files_alone_need_no_run(compare, trec, tmp_path):
    copies = [shutil.copy(trec, tmp_path / name) for name in ("a.trec", "b.trec")]
    found = compare(*copies, "--json").json()
    assert {row["measure"] for row in found["rows"]} == set(RANKING) and found["baseline"] == "a.trec"


def test_an_mlflow_id_is_the_run_that_it_logs(compare, path, run):
    tracker = MlflowTracker(default_tracking_uri(Workspace(path)), "retort")
    (logged,) = tracker.find(tags={"retort.kind": "distill"})
    found = compare(logged.run_id, "baseline:last", "--json").json()
    assert found["systems"][0]["source"] == f"runs/{run}" and found["baseline"] == logged.run_id[:8]
    nothing = tracker.start("a sweep", tags={"retort.kind": "sweep"})
    nothing.end()
    refused = compare(nothing.run_id, "baseline:last")
    assert refused.code == 2 and "is the sweep a sweep; name one of its points" in refused.err


def test_a_runs_folder_is_the_run(compare, path, run):
    found = compare(f"{path}/runs/{run}/", "baseline:last", "--json").json()
    assert found["baseline"] == run and found["systems"][0]["source"] == f"runs/{run}"


def test_the_baseline_may_be_named_as_it_is_called_or_in_another_way(compare, run):
    for words in (["--baseline", "ours"], ["--baseline", run[-8:]], ["--baseline", run]):
        found = compare("baseline:last", f"ours={run}", *words, "--json").json()
        assert [one["name"] for one in found["systems"]] == ["ours", "baseline:last"]
    beside = compare("baseline:last", "--baseline", f"ours={run}", "--json").json()
    assert [one["name"] for one in beside["systems"]] == ["ours", "baseline:last"]


@pytest.mark.parametrize("column", ["turn_number", "move"])
def test_groups_add_up_to_the_whole(compare, run, column):
    found = compare("baseline:last", run, "--by", column, "--measure", "RR", "--measure", "L0", "--json").json()
    for measure in ("RR", "L0"):
        groups = [row for row in found["groups"] if row["measure"] == measure]
        whole = next(row for row in found["rows"] if (row["run"], row["measure"]) == (run, measure))
        assert len(groups) > 1 and sum(group["n"] for group in groups) == whole["n"]
        mean = sum(group["n"] * group["difference"] for group in groups) / whole["n"]
        assert mean == pytest.approx(whole["difference"])


def test_the_turns_that_changed_most_can_be_read(compare, path, run, trec, monkeypatch):
    done = compare("baseline:last", run, "--show", "2", "--measure", "RR", "--json")
    found = done.json()
    whole = next(row for row in found["rows"] if (row["run"], row["measure"]) == (run, "RR"))
    ours, last = table(path, "runs/*/evaluations/*dev-*"), table(path, "baselines/last/*dev-*")
    changes = {query_id: row["RR"] - last[query_id]["RR"] for query_id, row in ours.items()}
    judgements = read_judgements(Workspace(path), "dev")
    ranked: dict[str, list[str]] = {}
    for line in trec.read_text().splitlines():
        ranked.setdefault(line.split()[0], []).append(line.split()[2])

    assert {"win", "loss"} == {turn["outcome"] for turn in found["changed"]}
    for turn in found["changed"]:
        outcome = {"win": whole["wins"], "loss": whole["losses"]}[turn["outcome"]]
        assert turn["of"] == outcome and turn["number"] <= min(2, outcome)
        best = sorted(changes.values(), reverse=turn["outcome"] == "win")[turn["number"] - 1]
        assert turn["after"] - turn["before"] == pytest.approx(best) == changes[turn["query_id"]]
        own, judged = ranked[turn["query_id"]], judgements[turn["query_id"]]
        assert [one["doc_id"] for one in turn["top"]] == own[:3]
        assert [one["relevance"] for one in turn["top"]] == [judged.get(doc_id) for doc_id in own[:3]]
        for passage in turn["relevant"]:
            place = own.index(passage["doc_id"]) + 1 if passage["doc_id"] in own else None
            assert passage["rank"] == place and passage["text"]
        assert list(turn["rewrites"]) == ["synthetic"] and turn["question"]

    monkeypatch.setenv("COLUMNS", "100")
    shown = compare("baseline:last", run, "--show", "2", "--measure", "RR").out
    for turn in found["changed"]:
        assert turn["query_id"] in shown and turn["question"].split()[0] in shown
    assert all(len(line) <= 100 and line == line.rstrip() for line in shown.splitlines())


def test_out_writes_what_its_ending_says_and_overwrites_nothing(compare, run, tmp_path):
    words = ("baseline:last", run, "--by", "turn_number")
    beginnings = {
        "t.tex": "% \\usepackage{booktabs}",
        "t.md": "| run | R@100 |",
        "t.csv": "split,by,group,run",
        "t.txt": "",
    }
    for name, beginning in beginnings.items():
        out = tmp_path / name
        done = compare(*words, "--out", out)
        assert done.code == 0, done.err
        assert out.read_text().startswith(beginning) and len(out.read_text()) > 500
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(beginnings)
    before = (tmp_path / "t.md").read_text()
    again = compare(*words, "--out", tmp_path / "t.md", "--format", "csv")
    assert again.code == 2 and "exists already; nothing was overwritten" in again.err
    assert (tmp_path / "t.md").read_text() == before

    document = compare(*words, "--format", "json")
    assert document.json() == compare(*words, "--json").json()
    rows = list(csv.DictReader(compare(*words, "--format", "csv").out.splitlines()))
    assert len(rows) == len(document.json()["rows"]) + len(document.json()["groups"])


def bad(words, message):
    return pytest.param(words, message, id=message[:30])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        bad(["{run}", "broken.trec"], "broken.trec:2: the score of {turn} must be a number, got 'high'"),
        bad(["{run}", "none.trec"], "there is no file none.trec"),
        bad(["{run}", "other.trec"], "none of its 1 query_ids (zzz) is a judged turn of dev"),
        bad(["{run}", "x={run}"], "are the same, {run}; name each once"),
        bad(["a={run}", "a=baseline:last"], "are called the same, a; name each once"),
        bad(["{run}"], "a comparison needs two runs, got {run}"),
        bad(["{run}", "pareto#1"], "no sweep 'pareto'"),
        bad(["{run}", "0" * 32], "has no run 0000"),
        bad(
            ["{run}", "baseline:rewrite:nobody"],
            "was not evaluated on dev, or not with the same vectors and top_k: retort evaluate",
        ),
        bad(["{run}", "baseline:last", "--by", "domain"], "no turn has a column 'domain'; there are: turn_number, "),
        bad(["{run}", "baseline:last", "--by", "x", "--measure", "MAP"], "there is no measure MAP; there are: R@100"),
        bad(["{run}", "good.trec", "--show", "1", "--measure", "L0"], "good.trec has no L0: --measure names another"),
        bad(["{run}", "baseline:last", "--show", "1", "--format", "latex"], "--show is for reading"),
        bad(["{run}", "baseline:last", "--json", "--format", "csv"], "--json and --format csv are two formats"),
        bad(["{run}", "baseline:last", "--split", "dve"], "has no turns/dve; did you mean dev? splits there: dev, "),
        bad(["{run}", "baseline:last", "--split", "train"], "was not evaluated on train: retort evaluate"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(words, message, compare, run, trec, tmp_path, monkeypatch):
    first = trec.read_text().splitlines()[0]
    monkeypatch.chdir(tmp_path)
    Path("broken.trec").write_text(f"{first}\n{first.split()[0]} Q0 x 2 high t\n")
    Path("other.trec").write_text("zzz Q0 x 1 1 t\n")
    shutil.copy(trec, "good.trec")
    done = compare(*(word.replace("{run}", run) for word in words))
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert message.replace("{run}", run).replace("{turn}", first.split()[0]) in line


def test_json_of_a_comparison_on_held_out_turns(compare, run):
    found = compare(run, "baseline:last", "--split", "validate", "--by", "turn_number", "--json").json()
    assert found["split"] == "validate" and found["turns"] == found["rows"][0]["n"]
    assert json.dumps(found).count("NaN") == 0
