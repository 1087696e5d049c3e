"""What a sweep's name stands for: everything that its trials' results depend on."""

import json
import shutil

from retort.search.space import load_space
from retort.search.sweep import sweep_folder
from retort.storage import Workspace


def test_other_rewrites_make_another_sweep(imported_copy, retort, smoke_space, tmp_path):
    space = load_space(smoke_space)
    before = sweep_folder(Workspace(imported_copy), space).name
    assert sweep_folder(Workspace(imported_copy), space).name == before

    folder = Workspace(imported_copy).folder("rewrites/synthetic/train")
    rewrites = folder.read_table("part-00000.parquet").to_pylist()
    shutil.rmtree(imported_copy / "rewrites" / "synthetic" / "train")
    file = tmp_path / "rewrites.jsonl"
    file.write_text("".join(json.dumps({**row, "rewrite": row["rewrite"] + " again"}) + "\n" for row in rewrites))
    added = retort("rewrites", "add", file, "--teacher", "synthetic", "--split", "train", "-w", imported_copy)
    assert added.code == 0, added.err

    assert sweep_folder(Workspace(imported_copy), space).name != before


def test_how_many_trials_and_how_many_at_a_time_are_no_part_of_the_name(imported_path, smoke_space):
    names = {
        sweep_folder(Workspace(imported_path), load_space(smoke_space, overrides, trials=trials)).name
        for overrides, trials in (((), None), ((), 9), (("concurrent=7",), None), (("training.workers=2",), None))
    }

    assert len(names) == 1
    assert sweep_folder(Workspace(imported_path), load_space(smoke_space, ("seed=1",))).name not in names
