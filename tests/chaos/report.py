"""The results of rounds, and what docs/reliability.md says of them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.verdict import shown

__all__ = ["COUNTED", "ROUNDS", "problems", "read_rounds", "table", "write_report"]

ROUNDS = "rounds.jsonl"
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos: written by python -m tests.chaos report -->", "<!-- chaos: end -->"
COUNTED = {
    "lost": "finished trials lost",
    "repeated": "finished trials run again",
    "trials_failed": "trials recorded as failed, of nothing of their own",
    "missing": "configurations without a result, stages that are not there",
    "different": "different figures or files",
    "half_written": "half-written stages",
    "leftovers": "files that no record names",
    "orphans": "processes that outlived their work",
    "tracebacks": "tracebacks instead of messages",
    "unfinished": "work that did not end when nothing disturbed it",
}


def read_rounds(out: Path) -> list[dict[str, Any]]:
    """The rounds that were played, in their order; a line that was cut by a kill is none."""
    path = out / ROUNDS
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # the round is played again
    return found


def problems(rounds: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What went wrong, a line for each round and kind."""
    for line in rounds:
        for name, text in COUNTED.items():
            told = list(dict.fromkeys(line["verdict"][name]))
            if told:
                yield f"{line['seed']}: {text}: {shown(told)}"


def table(rounds: Sequence[dict[str, Any]]) -> str:
    """The tables of the page."""
    works = {
        "commands": lambda plan: plan["work"] == "commands",
        "prepares": lambda plan: plan["work"] == "prepare",
        "sweeps": lambda plan: plan["work"] == "sweep" and not plan["workers"],
        "sweeps on Train groups": lambda plan: plan["workers"] > 0,
    }
    counts = {name: Counter[str]() for name in works}
    for line in rounds:
        name = next(name for name, is_one in works.items() if is_one(line["plan"]))
        counts[name].update(fault["kind"] for fault in line["faults"] if fault["hit"])
    kinds = sorted({kind for counted in counts.values() for kind in counted})
    seeds = sorted({line["seed"].split("/")[0] for line in rounds})
    total = sum(counted.total() for counted in counts.values())
    missed = sum(not fault["hit"] for line in rounds for fault in line["faults"])
    minutes = sum(line["seconds"] for line in rounds) / 60
    dates = sorted({line["date"] for line in rounds})
    lines = [
        f"{dates[0]}{f' to {dates[-1]}' if len(dates) > 1 else ''}: {len(rounds)} rounds of seed {', '.join(seeds)} with "
        f"{total} faults in {minutes:.0f} minutes; {sum(line['attempts'] for line in rounds)} starts of work. "
        f"{missed} further faults met nothing and are not counted.",
        "",
        f"| fault | {' | '.join(works)} | all |",
        "|---|" + "---|" * (len(works) + 1),
    ]
    for kind in kinds:
        row = [counts[name][kind] for name in works]
        lines.append(f"| {kind} | {' | '.join(map(str, row))} | {sum(row)} |")
    row = [counts[name].total() for name in works]
    lines += [f"| all | {' | '.join(map(str, row))} | {total} |", "", "| what came of it | count |", "|---|---|"]
    lines.append(f"| trials finished | {sum(line['verdict']['trials_finished'] for line in rounds)} |")
    for name, text in COUNTED.items():
        lines.append(f"| {text} | {sum(len(dict.fromkeys(line['verdict'][name])) for line in rounds)} |")
    return "\n".join(lines)


def write_report(out: Path) -> int:
    """Write the tables into the page; returns the exit status."""
    rounds = read_rounds(out)
    if not rounds:
        print(f"{out / ROUNDS} has no rounds; run some first: make chaos")
        return 2
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(rounds)}\n{END}{after}", encoding="utf-8")
    for line in problems(rounds):
        print(line)
    return 0
