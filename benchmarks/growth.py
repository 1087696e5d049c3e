"""How long stages and sweeps take as they grow: importing and preparing over passages, a sweep over its trials.

    python benchmarks/growth.py importing [--sizes 250000,500000,1000000,2000000] [--json FILE]
    python benchmarks/growth.py preparing --data DIR [--sizes 5000,10000,20000,37224] [--json FILE]
    python benchmarks/growth.py sweeping [--trials 8] [--json FILE]
    python benchmarks/growth.py scaling [--sizes 5000000] [--turns 20000] [--json FILE]
    python benchmarks/growth.py crowding [--trials 1000] [--json FILE]

``scaling`` imports a large generated collection, prepares it and measures the baselines; ``crowding`` runs very many trials that
are next to nothing. Both take hours, and are no part of ``make bench``.

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

SIZES = {
    "importing": "250000,500000,1000000,2000000",
    "preparing": "5000,10000,20000,37224",
    "scaling": "5000000",
}
SPACE = Path(__file__).parents[1] / "search_spaces" / "pareto.yaml"
SMOKE = SPACE.with_name("smoke.yaml")


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


def scaling(sizes: Sequence[int], turns: int) -> dict[str, Any]:
    """Seconds, peak memory and disk of each step from import to the baselines; a tenth of the turns is evaluated on."""
    steps: dict[str, dict[str, dict[str, float]]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            _write_collection(folder / "collection.tsv", size)
            splits = {"train": turns - turns // 10, "dev": turns // 10}
            _write_turns(folder, splits, size)
            config = {
                "corpus": {"validate": None, "evaluate": "dev"},
                "encoder": {"family": "lexical", "model": "minilm", "layers": 3, "passage_tokens": 400},
                "teacher": {"names": ["rewriter"]},
            }
            (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
            workspace = folder / "w"
            commands: dict[str, list[object]] = {}
            for split in splits:
                files = [folder / f"topics_{split}.json", folder / "collection.tsv"]
                commands[f"import {split}"] = ["import", "topiocqa", *files, "--split", split]
                added = ["rewrites", "add", folder / f"rewrites_{split}.jsonl", "--teacher", "rewriter"]
                commands[f"rewrites {split}"] = [*added, "--split", split]
            commands["prepare"] = ["prepare", folder / "experiment.yaml"]
            for name in ("context", "last", "rewrite:rewriter"):
                commands[f"baseline:{name}"] = ["evaluate", f"baseline:{name}", "--split", "dev"]
            steps[str(size)] = {}
            for name, words in commands.items():
                command = [sys.executable, "-m", "retort.cli", *map(str, words), "--workspace", str(workspace)]
                took = peak_of(command, stdout=subprocess.DEVNULL)
                if took.status:
                    sys.exit(f"{' '.join(command)} failed")
                disk = sum(file.stat().st_size for file in workspace.rglob("*") if file.is_file())
                measured = {"seconds": took.seconds, "peak_mib": took.pss / 2**20, "disk_gb": disk / 1e9}
                steps[str(size)][name] = {key: round(value, 2) for key, value in measured.items()}
                print(f"{size:,} passages, {name}: {steps[str(size)][name]}", flush=True)
    return {"turns": turns, "scaling": steps}


def _write_turns(folder: Path, splits: dict[str, int], passages: int) -> None:
    """Conversations of ten turns in TopiOCQA's form, with a positive each, and a rewrite for every turn."""
    generator = np.random.default_rng(1)
    with (folder / "collection.tsv").open(encoding="utf-8") as file:
        texts = [next(file).split("\t")[1].split() for _ in range(min(10_001, passages + 1))][1:]
    for split, count in splits.items():
        topics, rewrites, said = [], [], []
        for number in range(count):
            conversation, turn = number // 10 + 1, number % 10 + 1
            positive = int(generator.integers(len(texts)))
            asked = " ".join(generator.choice(texts[positive], 8))
            said = [asked] if turn == 1 else [*said, asked]
            topics.append(
                {
                    "conv_id": conversation,
                    "turn_id": turn,
                    "question": " [SEP] ".join(said),
                    "answers": [asked[:40]],
                    "positive_ctxs": [{"passage_id": str(positive + 1)}],
                }
            )
            said = [*said, asked[:40]]
            rewritten = " ".join(generator.choice(texts[positive], 12))
            rewrites.append(json.dumps({"id": f"{conversation}_{turn}", "rewrite": rewritten}))
        (folder / f"topics_{split}.json").write_text(json.dumps(topics))
        (folder / f"rewrites_{split}.jsonl").write_text("\n".join(rewrites) + "\n")


def crowding(trials: int) -> dict[str, Any]:
    """Seconds and peak memory of a sweep of very many trials of a student that is next to nothing, with MLflow."""
    space = yaml.safe_load(SMOKE.read_text()) | {"trials": trials, "concurrent": 1, "sampler": "random"}
    space["search"] = {"objective.contrastive_weight": {"low": 0.0, "high": 1.0}}
    space["sampling"] = {"count": 1, "window": [0, 50]}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "space.yaml").write_text(yaml.safe_dump(space))
        workspace = folder / "w"
        _retort(
            "import", "synthetic", "--workspace", workspace, "conversations=10", "dev_conversations=4", "entities=20"
        )
        words = ["sweep", folder / "space.yaml", "--workspace", workspace]
        took = peak_of([sys.executable, "-m", "retort.cli", *map(str, words)], stdout=subprocess.DEVNULL)
        if took.status:
            sys.exit("the sweep failed")
        ended = [json.loads(file.read_text()) for file in sorted(workspace.glob("sweeps/*/trials/*.json"))]
        parts = {part: [trial["seconds"][part] for trial in ended] for part in ("training", "evaluation", "overhead")}
        means = {
            part: {
                "first 100": round(float(np.mean(values[:100])), 3),
                "last 100": round(float(np.mean(values[-100:])), 3),
            }
            for part, values in parts.items()
        }
        started = time.perf_counter()
        found = _runs_on_first_page(workspace)
        page = time.perf_counter() - started
        size = (workspace / "mlflow.db").stat().st_size / 1e6
    result = {"trials": len(ended), "seconds": took.seconds, "peak_mib": took.pss / 2**20, "means": means}
    return {"crowding": result | {"mlflow_mb": size, "mlflow_page_s": round(page, 2), "runs_on_page": found}}


def _runs_on_first_page(workspace: Path) -> int:
    """What MLflow's page of runs asks for first: a hundred of them, the latest first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    experiment = client.get_experiment_by_name("retort")
    return len(client.search_runs([experiment.experiment_id], max_results=100, order_by=["start_time DESC"]))


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
    parser.add_argument("what", choices=["importing", "preparing", "sweeping", "scaling", "crowding"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sizes")
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    sizes = [int(size) for size in (args.sizes or SIZES.get(args.what, "")).split(",") if size]
    if args.what == "importing":
        result = importing(sizes)
    elif args.what == "preparing":
        if args.data is None:
            parser.error("preparing needs --data")
        result = preparing(args.data, sizes)
    elif args.what == "scaling":
        result = scaling(sizes, args.turns)
    elif args.what == "crowding":
        result = crowding(args.trials or 1000)
    else:
        result = sweeping(args.trials or 8)
    print(json.dumps(result, indent=1))
    write_result(args.json, args.what, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
