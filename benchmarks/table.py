"""Write what the benchmarks found into docs/performance.md: tables between two marks, everything else in it stays.

    python benchmarks/table.py [--results benchmarks/.results] [--into docs/performance.md]

A target says what the ratio to the peer in the same run shall be at least, and what is aimed at.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- measured: written by benchmarks/table.py -->", "<!-- end of measured -->"
GROWTH = ("n", "tokens", "batch")
TOPIOCQA_PASSAGES = 25_700_592
NODE_CORES = 16


class Results:
    """The benchmarks' JSON files, by name; what was not run is absent."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("*.json"))
        self.by_name: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text()) for file in files}
        if not self.by_name:
            sys.exit(f"{folder} holds no results: run make bench DATA=... first")

    def __getitem__(self, name: str) -> dict[str, Any] | None:
        return self.by_name.get(name)


def seconds(value: dict[str, float], *, factor: float = 1.0, digits: int = 2) -> str:
    """A measured median with its lowest and highest."""
    median, low, high = (f"{value[key] * factor:.{digits}f}" for key in ("median", "low", "high"))
    return median if value["n"] == 1 else f"{median} ({low}-{high})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(r) + " |" for r in rows),
        "",
    ]


def targets(results: Results) -> list[list[str]]:
    """What was asked for, and what was reached."""
    rows: list[list[str]] = []

    def row(what: str, least: float, aim: float, got: float | None, *, lower: bool = False, unit: str = "x") -> None:
        if got is None:
            return
        reached = (lambda bound: got <= bound) if lower else (lambda bound: got >= bound)
        verdict = "aim" if reached(aim) else "yes" if reached(least) else "**no**"
        rows.append([what, f"{least:g}{unit}", f"{aim:g}{unit}", f"{got:.2f}{unit}", verdict])

    names = {
        "training-minilm": "MiniLM, fp32",
        "training-minilm-bf16": "MiniLM, bf16",
        "training-bert-base": "BERT-base",
    }
    bounds = {"training-minilm": (12, 20), "training-minilm-bf16": (18, 30), "training-bert-base": (8, 15)}
    for file, name in names.items():
        if result := results[file]:
            row(f"training step against DiSCo's, {name}", *bounds[file], result["ratios"]["DiSCo's step"])
    if result := results["training-minilm"]:
        peer = "sentence-transformers Router"
        row(f"training step against {peer}, MiniLM, fp32", 12, 18, result["ratios"][peer])
        memory = result["added_bytes"]
        row("added peak memory of a step against DiSCo's, less", 20, 40, memory["DiSCo's step"] / memory["Retort"])
    if result := results["training-growth"]:
        cost = result["seconds"]["n 256"]["median"] / result["seconds"]["n 1"]["median"]
        row("cost of 256 samples over cost of 1", 1.1, 1.0, cost, lower=True)
    if result := results["encoding"]:
        rates = result["passages_per_second"]
        row("encoding against sentence-transformers, fp32", 1.8, 2.5, rates["Retort"] / rates["sentence-transformers"])
        if half := rates.get("Retort, bf16"):
            row("encoding against sentence-transformers, bf16", 3, 5, half / rates["sentence-transformers"])
    if result := results["search"]:
        for ratio in result["targets"]:
            row(ratio["what"], ratio["least"], ratio["aim"], ratio["got"], lower=ratio["lower"], unit=ratio["unit"])
    return rows


def training(results: Results) -> list[str]:
    """Steps of all three, and how ours grows."""
    lines: list[str] = []
    rows = []
    for name in ("training-minilm", "training-minilm-bf16", "training-bert-base"):
        if result := results[name]:
            for who, value in result["seconds"].items():
                memory = result.get("added_bytes", {}).get(who)
                rows.append(
                    [
                        f"{result['model']}, {result['precision']}",
                        who,
                        seconds(value),
                        f"{memory / 2**20:,.0f}" if memory else "",
                        f"{result['ratios'][who]:.1f}" if who in result["ratios"] else "1",
                    ]
                )
    if rows:
        lines += ["### A training step", ""]
        lines += table(["model", "", "seconds a step", "MiB added at the peak", "times Retort's time"], rows)
    if result := results["training-growth"]:
        lines += ["### How a training step grows", ""]
        rows = [
            [name, f"{result['tokens'][name]:.0f}", seconds(value, digits=3)]
            for name, value in result["seconds"].items()
        ]
        lines += table(["MiniLM, otherwise n 16, 256 tokens, batch 5", "mean tokens a turn", "seconds a step"], rows)
    return lines


def encoding(results: Results) -> list[str]:
    """Passages a second."""
    result = results["encoding"]
    if result is None:
        return []
    rates = result["passages_per_second"]
    rows = [[name, seconds(value), f"{rates[name]:.1f}"] for name, value in result["seconds"].items()]
    note = (
        f"{result['passages']} passages of {result['tokens']:.0f} tokens on average; largest difference of a weight "
        f"{result['largest_difference']:.0e}; smallest cosine to fp32: bf16 scan {result['cosine_bf16_scan']:.7f}, "
        f"bf16 {result['cosine_bf16']:.5f}."
    )
    return ["### Encoding passages", "", note, "", *table(["", "seconds", "passages a second"], rows)]


def searching(results: Results) -> list[str]:
    """The search benchmark's own tables."""
    result = results["search"]
    if result is None:
        return []
    lines = ["### Exact search", ""]
    for part in result["tables"]:
        lines += [part["title"], "", *table(part["header"], part["rows"])]
    return lines


def growing(results: Results) -> list[str]:
    """Preparing and sweeping."""
    lines: list[str] = []
    if result := results["importing"]:
        rows = [
            [
                f"{int(n):,}",
                f"{v['gigabytes']:.2f}",
                f"{v['seconds']:.1f}",
                f"{int(n) / v['seconds']:,.0f}",
                f"{v['peak_mib']:.0f}",
            ]
            for n, v in result["importing"].items()
        ]
        lines += ["### Importing a collection in TopiOCQA's form", ""]
        lines += table(["passages", "TSV, GB", "seconds", "passages a second", "peak memory, MiB"], rows)
    if result := results["preparing"]:
        rows = [[f"{int(n):,}", f"{v['import']:.1f}", f"{v['prepare']:.1f}"] for n, v in result["seconds"].items()]
        lines += ["### Preparing (lexical, one teacher, 543 turns)", ""]
        lines += table(["passages", "import, s", "prepare, s"], rows)
    if result := results["sweeping"]:
        rows = []
        for concurrent, wall in result["wall"].items():
            parts = result["seconds"][concurrent]
            means = [f"{sum(parts[part]) / len(parts[part]):.1f}" for part in ("training", "evaluation", "overhead")]
            rows.append([concurrent, f"{wall:.0f}", *means])
        lines += [f"### A sweep of {result['trials']} random trials on the synthetic corpus", ""]
        header = ["trials at a time", "wall time, s", "training, s a trial", "evaluation, s", "overhead, s"]
        lines += table(header, rows)
    return lines


def arithmetic(results: Results) -> list[str]:
    """TopiOCQA's whole collection, from the measured slopes."""
    result, index = results["encoding"], results["search"]
    if result is None or index is None:
        return []
    hours = TOPIOCQA_PASSAGES / result["passages_per_second"]["Retort"] / 3600
    active = result["mean_active_entries"]
    entries = TOPIOCQA_PASSAGES * active
    per_query = index["ms_per_million_passages"] * TOPIOCQA_PASSAGES / 1e9  # seconds
    training_turns, dev_turns = 45_450, 2_514
    node, sixteen = NODE_CORES, 16 * NODE_CORES
    rows = [
        ["vectors on disk", f"{entries * 8 / 1e9:.0f} GB", "the same, shared"],
        ["index on disk", f"{entries * index['index_bytes_per_entry'] / 1e9:.0f} GB", "the same, shared"],
        ["encoding with MiniLM (BERT-base: five times as long)", f"{hours / node:.0f} h", f"{hours / sixteen:.1f} h"],
        [
            "building the index",
            f"{entries * index['build_seconds_per_entry'] / 60 / node:.1f} min",
            f"{entries * index['build_seconds_per_entry'] / sixteen:.0f} s",
        ],
    ]
    for what, turns in (
        ("a teacher's rankings of the training turns", training_turns),
        ("evaluating on dev", dev_turns),
    ):
        minutes = turns * per_query / 60
        rows.append([f"{what} ({turns:,})", f"{minutes / node:.1f} min", f"{minutes / sixteen:.1f} min"])
    return [
        "### What that means for TopiOCQA's 25.7 million passages",
        "",
        f"Reckoned from the slopes above, each linear in passages: {active:.0f} active entries a passage, {hours:,.0f} core "
        f"hours of encoding, {per_query:.2f} s of a core for a query of 60 terms and its best 100. Vectors and index are mapped "
        "from disk: a process needs what it touches, an index in the making 16 bytes an entry of the part (122,880 passages). "
        "Not counted is the disk, which must write and read both; building the index waits for it.",
        "",
        *table(["", f"one node of {node} cores", "sixteen such nodes"], rows),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / ".results")
    parser.add_argument("--into", type=Path, default=HERE.parent / "docs" / "performance.md")
    args = parser.parse_args(argv)
    results = Results(args.results)
    # The machine when it was least busy: what else ran takes from the products that are measured beside every benchmark.
    machine = max((f["machine"] for f in results.by_name.values()), key=lambda m: float(m["matmul_gflops"]["float32"]))
    date = max(result["date"] for result in results.by_name.values())
    peak = machine["matmul_gflops"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{date}: {machine['cores']} cores of {machine['processor']} ({machine['instructions']}; bf16 in hardware: "
        f"{'yes' if machine['bf16'] else 'no'}), {machine['memory_gib']} GiB; {versions}. Largest matrix products on one "
        f"thread: {peak['float32']} GFLOP/s in fp32, {peak['bfloat16']} in bf16. Everything beside a peer runs on one pinned "
        "thread, in turn (A B A B); medians with lowest and highest.",
        "",
        *table(["ratio to the peer", "at least", "aim", "measured", "reached"], targets(results)),
        *training(results),
        *encoding(results),
        *searching(results),
        *growing(results),
        *arithmetic(results),
    ]
    text = args.into.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    args.into.write_text(before + BEGIN + "\n" + "\n".join(lines) + END + after, encoding="utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
