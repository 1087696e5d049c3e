"""The documentation: it builds without a broken link, and what its page on extending says is run as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retort.corpora.turns import read_judgements, read_turns
from retort.storage import Workspace

ROOT = Path(__file__).parents[1]
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'```(python|diff) title="([^"]+)"\n(.*?)```', EXTENDING, flags=re.DOTALL)


def test_the_site_builds_and_no_link_is_broken(tmp_path):
    pytest.importorskip("mkdocs")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "settings" / "index.html").is_file()
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert all((tmp_path / "site" / page / "index.html").is_file() for page in pages - {"index"})


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_of_the_repository_are_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (ROOT / link).exists()] == []


def environment(package: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def test_the_corpus_of_the_page_is_imported(tmp_path):
    ((_, name, script),) = [block for block in BLOCKS if not block[1].startswith("platform/")]
    (tmp_path / name).write_text(script, encoding="utf-8")
    assert len(script.split("if __name__")[0].split("def read_chats")[1].splitlines()) < 30
    exchanges = [
        {"asked": "My kettle leaks.", "replied": "Where?", "articles": ["a1"]},
        {"asked": "At its spout.", "replied": "Tighten it.", "articles": ["a1", "a2"]},
    ]
    (tmp_path / "chats.jsonl").write_text(json.dumps({"id": "c7", "exchanges": exchanges}) + "\n")
    (tmp_path / "articles.tsv").write_text(
        "id\ttext\ttitle\na1\tKettles leak.\tLeaks\na2\tTighten the spout.\tSpouts\n"
    )

    def run(split: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, name, "chats.jsonl", "articles.tsv", split, "workspace"]
        package = environment(ROOT / "platform")
        return subprocess.run(command, cwd=tmp_path, env=package, capture_output=True, text=True, check=False)

    done = run("train")
    assert (done.returncode, done.stdout) == (0, "2 turns, 2 passages\n"), done.stderr
    first, second = read_turns(Workspace(tmp_path / "workspace"), "train")
    assert (first.query_id, second.query_id, second.turn_number) == ("c7_1", "c7_2", 2)
    assert [message.text for message in second.history] == ["My kettle leaks.", "Where?"]
    assert read_judgements(Workspace(tmp_path / "workspace"), "train")["c7_2"] == {"a1": 1, "a2": 1}

    exchanges[1]["articles"] = ["a9"]
    (tmp_path / "chats.jsonl").write_text(json.dumps({"id": "c8", "exchanges": exchanges}) + "\n")
    broken = run("dev")
    assert broken.returncode != 0 and "chats.jsonl:1" in broken.stderr and "'a9'" in broken.stderr


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the package with the page's loss in it."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "platform", folder / "platform", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for kind, name, block in BLOCKS:
        path = folder / name
        if not name.startswith("platform/"):
            continue
        text = path.read_text(encoding="utf-8")
        if kind == "python":
            path.write_text(f"{text}\n\n{block}", encoding="utf-8")
            continue
        lines = block.splitlines()
        old = "\n".join(line[1:] for line in lines if line[0] in " -")
        new = "\n".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(f"{old}\n") == 1, f"{name} does not hold once:\n{old}"
        path.write_text(text.replace(f"{old}\n", f"{new}\n"), encoding="utf-8")
    return folder / "platform"


def test_the_loss_of_the_page_is_what_it_says(extended):
    check = """
import math, numpy as np, torch
from scipy.spatial.distance import jensenshannon
from retort.sparse.objective.losses import jensen_shannon
generator = torch.Generator().manual_seed(0)
student, teacher = torch.randn(4, 6, generator=generator), torch.randn(4, 6, generator=generator)
found = jensen_shannon(student, teacher, present=torch.ones(4, 6, dtype=torch.bool), temperature=2.0)
expected = jensenshannon((student / 2).softmax(1).numpy(), (teacher / 2).softmax(1).numpy(), axis=1) ** 2
np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
assert jensen_shannon(student, student, present=torch.ones(4, 6, dtype=torch.bool)).abs().max() < 1e-6
far = jensen_shannon(torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]]), present=torch.ones(1, 2, dtype=torch.bool))
assert abs(far.item() - math.log(2)) < 1e-6
"""
    done = subprocess.run(
        [sys.executable, "-c", check], env=environment(extended), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_student_is_distilled_with_the_loss_of_the_page(extended, prepared_copy, experiment_file):
    words = ["distill", str(experiment_file), "-w", str(prepared_copy), "--json", "objective.divergence=jensen_shannon"]
    words += [
        "training.epochs=6",
        "training.learning_rate=3e-4",
        "training.head_learning_rate_factor=5",
        "training.dropout=0",
    ]
    words += ["regularization.query=none", "objective.contrastive_weight=0"]
    command = [sys.executable, "-m", "retort.cli", *words]
    done = subprocess.run(command, env=environment(extended), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = Workspace(prepared_copy).folder(f"runs/{json.loads(done.stdout)['run']}")
    losses = run.read_table("curves.parquet")["loss"].to_pylist()
    steps = len(losses) // 6
    assert sum(losses[-steps:]) < sum(losses[:steps])  # of the last epoch, and of the first
    assert run.read_json("experiment.json")["objective"]["divergence"] == "jensen_shannon"
