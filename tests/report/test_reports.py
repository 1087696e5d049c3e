"""Reports over real sweeps of the synthetic corpus, through the command line."""

import json
import shlex
import shutil

import pytest
import yaml

from retort.report.sweep.report import sweep_report
from retort.storage import Workspace

pytestmark = pytest.mark.slow

GRIDS = {
    "paper_samples": {"search": {"training.seed": [0, 1], "sampling.count": [4, 16]}},
    "paper_regularization": {
        "search": {"training.seed": [0, 1]},
        "variants": {"disco": {"regularization.preset": "disco"}, "high": {"regularization.preset": "high"}},
        "regularization": {},
    },
}


@pytest.fixture(scope="module")
def swept(prepared_path, smoke_space, tmp_path_factory, sweep_here):
    """A workspace with two of the paper's grids, two settings and two seeds each. Reports may be written to it."""
    folder = tmp_path_factory.mktemp("grids")
    path = folder / "workspace"
    shutil.copytree(prepared_path, path)
    for name, keys in GRIDS.items():
        data = yaml.safe_load(smoke_space.read_text(encoding="utf-8")) | keys | {"sampler": "grid"}
        del data["trials"]
        space = folder / f"{name}.yaml"
        space.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        done = sweep_here(path, space)
        assert done.code == 0, done.err
    return path


def test_the_papers_questions_beside_its_figures(swept, retort, tmp_path):
    done = retort("report", "paper", "-w", swept, "--json")
    assert done.code == 0, done.err
    found = done.json()

    assert [sweep["key"] for sweep in found["sweeps"]] == ["sampling.count", "variant"]
    samples, regularization = found["sweeps"]
    assert [(row["row"], row["seeds"]) for row in samples["rows"]] == [("4", [0, 1]), ("16", [0, 1])]
    assert [row["row"] for row in regularization["rows"]] == ["disco", "high"]
    assert samples["baseline"] == "16" and regularization["baseline"] == "disco"
    # A row is the mean of its runs' evaluations, which are kept with the runs.
    for row in (*samples["rows"], *regularization["rows"]):
        kept = []
        for run in row["runs"]:
            (measures,) = swept.glob(f"runs/{run}/evaluations/*dev-exact-*/measures.json")
            kept.append(json.loads(measures.read_text()))
        for name in ("RR", "R@10", "R@100", "nDCG@3", "FLOPS", "L0"):
            assert row["means"][name] == pytest.approx(sum(one[name] for one in kept) / 2)
        assert samples["n"] == kept[0]["n"]
    difference = next(one for one in samples["differences"] if one["measure"] == "R@100")
    four, sixteen = samples["rows"]
    assert difference["difference"] == pytest.approx(four["means"]["R@100"] - sixteen["means"]["R@100"])
    # Two seeds decide nothing, and two questions have not been asked.
    assert {claim["direction"] for claim in found["claims"]} == {"can't be told"} and len(found["claims"]) == 4

    folder = swept / "reports" / "paper-dev"
    assert found["directory"] == str(folder)
    names = [sweep["sweep"] for sweep in found["sweeps"]]
    kinds = ("png", "svg")
    assert {path.name for path in folder.iterdir()} == {
        "paper.md",
        "paper.json",
        *(f"{n}.{k}" for n in names for k in kinds),
    }
    assert json.loads((folder / "paper.json").read_text()) == {k: v for k, v in found.items() if k != "directory"}

    out = tmp_path / "out"
    shown = retort("report", "paper", "-w", swept, "--sweep", "paper_samples", "--out", out)
    assert shown.code == 0 and str(out) in shown.out and not any(line.endswith(" ") for line in shown.out.splitlines())
    assert "samples in the" in shown.out and "disco" not in shown.out
    assert (out / "paper.md").exists()


def test_fronts_against_each_other(swept, retort):
    done = retort("report", "fronts", "paper_regularization", "paper_samples", "-w", swept, "--json")
    assert done.code == 0, done.err
    found = done.json()

    assert found["baseline"] == "paper_regularization" and set(found["unregularised"]) == {"0", "1"}
    trials = {
        trial["run"]: trial
        for path in swept.glob("sweeps/*/front.json")
        for trial in json.loads(path.read_text())["trials"]
    }
    for seed, run in found["unregularised"].items():
        assert trials[run]["config"] == {"training.seed": int(seed), "variant": "disco"}
    for row in found["rows"]:
        assert row["trials"] == {"0": 2, "1": 2} and row["one_setting"]
        assert all(trials[run]["config"]["training.seed"] == int(seed) for seed, run in row["runs"].items())
        assert row["recall_interval"][0] <= row["recall_change"] <= row["recall_interval"][1]
    assert found["rows"][0]["area_gains"] == {"0": 0, "1": 0}
    # What was chosen loses at most 2 % of R@100 on the turns that it was chosen on.
    for row in found["rows"]:
        chosen, plain = (
            sum(trials[run]["validation"]["R@100"] for run in runs.values())
            for runs in (row["runs"], found["unregularised"])
        )
        assert chosen >= 0.98 * plain - 1e-12
    assert {path.name for path in (swept / "reports" / "fronts-dev").iterdir()} == {
        "fronts.md",
        "fronts.json",
        "fronts.png",
        "fronts.svg",
    }
    shown = retort("report", "fronts", "paper_reg", "paper_sam", "--baseline", "paper_sam", "-w", swept)
    assert shown.code == 0 and "unregularised" in shown.out and "rewrite:synthetic: R@100" in shown.out


def test_a_sweep_is_run_again_by_what_its_report_holds(swept, retort, tmp_path, listing):
    for name in GRIDS:
        done = retort("report", name, "-w", swept, "--out", tmp_path / name, "--json")
        assert done.code == 0, done.err
        found = json.loads(next(swept.glob(f"sweeps/{name}-*/front.json")).read_text())
        page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        assert all(trial["run"] in page for trial in found["trials"])
        # By turn number of the front's own evaluations, which the sweep made.
        assert 'id="turns"' in page and "figures/turns.svg" in done.json()["files"]
        before = listing(swept)
        again = retort("sweep", tmp_path / name / "reproduce" / f"{name}.yaml", "-w", swept, "--json")
        assert again.code == 0 and again.json()["sweep"] == done.json()["sweep"] and "is there already" in again.err
        assert listing(swept) == before


def test_a_run_is_made_again_by_its_command(swept, retort, tmp_path):
    report = sweep_report(Workspace(swept), "paper_regularization")
    (tmp_path / "experiment.yaml").write_text(report.reproduction.files["experiment.yaml"], encoding="utf-8")
    run, command = next(iter(report.reproduction.runs.items()))
    words = [str(tmp_path / word) if word == "experiment.yaml" else word for word in shlex.split(command)[1:]]
    words[words.index("--workspace") + 1] = str(swept)
    done = retort(*words, "--json")
    assert done.code == 0, done.err
    assert done.json()["run"] == run and done.json()["reused"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["papers"], "no sweep 'papers': did you mean paper_samples? paper_regularization-"),
        (["paper_"], "2 sweeps match 'paper_': paper_regularization-"),
        (["sweep"], "a report is on one sweep, got none"),
        (["paper_samples", "paper_regularization"], "a report is on one sweep, got paper_regularization"),
        (["paper", "--sweep", "nothing"], "no sweep 'nothing': paper_regularization-"),
        (["paper", "--split", "nothing"], "nothing"),
        (["fronts", "paper_samples"], "fronts are compared of two different families or more, got paper_samples"),
        (["fronts", "paper_samples", "nothing"], "no sweep 'nothing'"),
        (["fronts", "paper_samples", "paper_s"], "belongs to paper_samples and to paper_s: name longer beginnings"),
        (["fronts", "paper_samples", "paper_r", "--baseline", "b"], "--baseline b is none of the families"),
    ],
)
def test_what_cannot_be_reported_is_told_at_once(swept, retort, words, message):
    done = retort("report", *words, "-w", swept)
    assert done.code == 2 and message in done.err and done.out == ""


def test_a_workspace_without_the_papers_sweeps_says_how_to_get_one(imported_path, retort):
    done = retort("report", "paper", "-w", imported_path)
    assert done.code == 2 and "has no sweep of the paper's questions (paper_contrastive, " in done.err
