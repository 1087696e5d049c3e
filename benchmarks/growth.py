"""How long stages and sweeps take as they grow: importing and preparing over passages, a sweep over concurrent trials.

    python benchmarks/growth.py importing [--sizes 250000,500000,1000000,2000000] [--json FILE]
    python benchmarks/growth.py preparing --data DIR [--sizes 5000,10000,20000,37224] [--json FILE]
    python benchmarks/growth.py sweeping [--trials 8] [--json FILE]

All run the commands of the command line, each in a fresh workspace, on all processors: this is what a user waits for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from measuring import write_result
from memory import peak_of

from retort.config import SearchSpaceConfig

SIZES = {"importing": "250000,500000,1000000,2000000", "preparing": "5000,10000,20000,37224"}
SPACE = Path(__file__).parents[1] / "search_spaces" / "pareto.yaml"


def _retort(*words: object) -> float:
    """Run a command of the command line, and return its seconds."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "retort.cli", *(str(word) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def _write_collection(path: Path, passages: int) -> None:
    """A collection in TopiOCQA's form: ids from 1, 80 drawn words a passage, titles ``Article [SEP] Section``."""
    generator = np.random.default_rng(0)
    words = [
        "".join(chr(97 + n) for n in generator.integers(26, size=generator.integers(2, 12))) for _ in range(50_000)
    ]
    with path.open("w", encoding="utf-8") as file:
        file.write("id\ttext\ttitle\n")
        for low in range(0, passages, 10_000):
            drawn = (generator.zipf(1.3, size=(min(10_000, passages - low), 80)) - 1) % len(words)
            for number, row in enumerate(drawn.tolist(), start=low + 1):
                file.write(f"{number}\t{' '.join(map(words.__getitem__, row))}\tArticle {number // 7} [SEP] Section\n")


def importing(sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds and peak memory of importing a generated collection, with one turn that a passage of it answers."""
    measured: dict[str, dict[str, float]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            _write_collection(folder / "collection.tsv", size)
            turn = {"conv_id": 1, "turn_id": 1, "question": "Which?", "answers": ["That."]}
            (folder / "topics.json").write_text(json.dumps([turn | {"positive_ctxs": [{"passage_id": str(size)}]}]))
            words = ["import", "topiocqa", folder / "topics.json", folder / "collection.tsv", "--split", "train"]
            command = [sys.executable, "-m", "retort.cli", *map(str, [*words, "--workspace", folder / "w"])]
            took = peak_of(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if took.status:
                sys.exit(f"{' '.join(command)} failed")
            gigabytes = (folder / "collection.tsv").stat().st_size / 1e9
            measured[str(size)] = {"seconds": took.seconds, "peak_mib": took.pss / 2**20, "gigabytes": gigabytes}
            print(f"{size:,} passages: {took.seconds:.1f} s, peak {took.pss / 2**20:.0f} MiB", flush=True)
    return {"importing": measured}


def preparing(data: Path, sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds of importing and of preparing (vectors, index, one teacher's rankings, shards), lexical family."""
    lines = (data / "collection.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    judged = (data / "qrels_train.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    relevant = {line.split()[2] for line in judged}
    first = [line for line in lines[1:] if line.split("\t", 1)[0] in relevant]
    others = [line for line in lines[1:] if line.split("\t", 1)[0] not in relevant]
    config = {
        "corpus": {"validate": None, "evaluate": None},
        "encoder": {"family": "lexical", "model": "minilm", "layers": 3, "passage_tokens": 400},
        "teacher": {"names": ["rewriter"]},
    }
    seconds: dict[str, dict[str, float]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "collection.tsv").write_text("".join([lines[0], *first, *others][: size + 1]), encoding="utf-8")
            (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
            words = [data / "topics_train.json", folder / "collection.tsv", "--qrels", data / "qrels_train.txt"]
            where = ["--split", "train", "--workspace", folder / "w"]
            imported = _retort("import", "topiocqa", *words, *where)
            _retort("rewrites", "add", data / "rewrites_train.jsonl", "--teacher", "rewriter", *where)
            prepared = _retort("prepare", folder / "experiment.yaml", "--workspace", folder / "w")
            seconds[str(size)] = {"import": round(imported, 2), "prepare": round(prepared, 2)}
    return {"seconds": seconds}


def sweeping(trials: int) -> dict[str, Any]:
    """Wall time of the same random trials, one and two at a time, and where each trial's time went."""
    space = yaml.safe_load(SPACE.read_text()) | {"sampler": "random", "start": []}
    cores = os.cpu_count() or 1
    result: dict[str, Any] = {"trials": trials, "wall": {}, "seconds": {}}
    for concurrent in sorted({1, 2, cores}):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "space.yaml").write_text(yaml.safe_dump(space | {"trials": trials, "concurrent": concurrent}))
            workspace = folder / "w"
            _retort("import", "synthetic", "--workspace", workspace)
            base = {key: value for key, value in space.items() if key not in SearchSpaceConfig.model_fields}
            (folder / "experiment.yaml").write_text(yaml.safe_dump(base))
            _retort("prepare", folder / "experiment.yaml", "--workspace", workspace)
            result["wall"][str(concurrent)] = _retort("sweep", folder / "space.yaml", "--workspace", workspace)
            ended = [json.loads(file.read_text()) for file in sorted(workspace.glob("sweeps/*/trials/*.json"))]
            parts = ("training", "evaluation", "overhead")
            result["seconds"][str(concurrent)] = {
                part: [round(trial["seconds"][part], 2) for trial in ended] for part in parts
            }
    return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["importing", "preparing", "sweeping"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sizes")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    sizes = [int(size) for size in (args.sizes or SIZES.get(args.what, "")).split(",") if size]
    if args.what == "importing":
        result = importing(sizes)
    elif args.what == "preparing":
        if args.data is None:
            parser.error("preparing needs --data")
        result = preparing(args.data, sizes)
    else:
        result = sweeping(args.trials)
    print(json.dumps(result, indent=1))
    write_result(args.json, args.what, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
