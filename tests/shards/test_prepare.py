"""All stages together: skipped when they are there, gone on with after a SIGKILL, and the splade family end to end."""

import json
import re
import sys

import numpy as np
import pytest
import torch

from retort.config import experiment_from, load_experiment
from retort.corpora.collection import read_passages
from retort.errors import ConfigError, WorkspaceError
from retort.evaluation.students import open_run
from retort.shards.prepare import check_inputs
from retort.shards.reader import Collection
from retort.sparse.encoders.encoder import initial_student, load_student
from retort.sparse.encoders.packing import pack
from retort.storage import Workspace

TINY_SPLADE = ("encoder.family=splade", "encoder.score_scale=0.05", "training.learning_rate=1.0e-4")


def test_what_is_there_is_not_written_again(prepared_copy, experiment_file, retort, listing):
    before = listing(prepared_copy)
    done = retort("prepare", experiment_file, "-w", prepared_copy, "--json")
    assert done.code == 0 and listing(prepared_copy) == before
    assert done.err.count("is there already") == 4
    assert [name.split("/")[0] for name in done.json()] == ["vectors", "indexes", "rankings", "training"]


@pytest.mark.slow
def test_prepare_goes_on_after_a_kill_to_the_same_files_and_says_its_progress_alone(
    imported_copy, prepared_path, experiment_file, environment, kill_when, started
):
    def part_is_there():
        return any(imported_copy.glob("vectors/*/part-*.npy"))

    kill_when(["prepare", experiment_file, "-w", imported_copy], part_is_there)
    assert not list(imported_copy.glob("training/*/record.json"))

    # A process of its own, since Ray and its workers write past this one's standard error.
    command = [sys.executable, "-m", "retort.cli", "prepare", str(experiment_file), "-w", str(imported_copy), "--json"]
    done = started.finish(command, env=environment)
    assert done.returncode == 0 and set(json.loads(done.stdout)), done.stderr
    stages = r"(vectors|index|rankings synthetic|training): [\d,]+ of [\d,]+(  .*)?"
    assert [line for line in done.stderr.splitlines() if not re.fullmatch(stages, line)] == []

    def files(path):
        records = [
            p for stage in ("vectors", "indexes", "rankings", "training") for p in path.glob(f"{stage}/**/record.json")
        ]
        return {str(p.relative_to(path)): json.loads(p.read_text())["files"] for p in records}

    assert files(imported_copy) == files(prepared_path) and len(files(prepared_path)) == 4
    on_disk = {
        str(p.relative_to(imported_copy))
        for s in ("vectors", "indexes", "rankings", "training")
        for p in (imported_copy / s).rglob("*")
    }
    assert not [name for name in on_disk if name.endswith(".tmp") or "counts" in name or "positives" in name]


@pytest.mark.slow
def test_splade_family_end_to_end(imported_copy, experiment_file, retort, ray_session):
    prepared = retort("prepare", experiment_file, "-w", imported_copy, *TINY_SPLADE)
    assert prepared.code == 0, prepared.err
    distilled = retort("distill", experiment_file, "-w", imported_copy, "--json", *TINY_SPLADE)
    assert distilled.code == 0, distilled.err
    assert distilled.err.count("is there already") == 4
    run = distilled.json()["run"]
    measured = retort("evaluate", run, "-w", imported_copy, "--split", "dev", "--json")
    assert measured.code == 0, measured.err
    assert 0 < measured.json()["R@100"] <= 1 and measured.json()["FLOPS"] > 0

    workspace = Workspace(imported_copy)
    (vectors,) = workspace.stages("vectors")
    collection = Collection(vectors)
    config = load_experiment(experiment_file, TINY_SPLADE).encoder
    untrained = initial_student(config, collection.tokenizer).eval()
    rows = [0, 5, len(collection.vectors) - 1]
    stored = collection.vectors.take(rows).to_scipy().toarray()
    for place, passage in enumerate(read_passages(workspace, rows)):
        text = f"{passage.title}. {passage.text}"
        ids = collection.tokenizer.context_ids(text, [], order="newest_first", max_tokens=config.passage_tokens)
        with torch.inference_mode():
            (alone,) = untrained(*pack([ids]))
        np.testing.assert_allclose(stored[place], alone.numpy(), atol=1e-5)

    student, _ = load_student(open_run(workspace, run).folder.local_tree("checkpoint"))
    moved = [not torch.equal(a, b) for a, b in zip(student.parameters(), untrained.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"teacher": {"names": ["nobody"]}}, WorkspaceError, "nobody.*teachers of 'train' there: synthetic"),
        ({"corpus": {"train": "july"}}, WorkspaceError, "july"),
        ({"corpus": {"validate": "july"}}, WorkspaceError, "july"),
        ({"corpus": {"evaluate": "july"}}, WorkspaceError, "july"),
        ({"corpus": {"validate": "train"}}, ConfigError, "corpus.validate: names the training split"),
    ],
)
def test_missing_inputs_are_told_of_before_anything_starts(imported_path, listing, changes, error, message):
    before = listing(imported_path)
    with pytest.raises(error, match=message):
        check_inputs(Workspace(imported_path), experiment_from(changes))
    assert listing(imported_path) == before
