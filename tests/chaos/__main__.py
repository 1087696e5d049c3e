"""The chaos suite: `make chaos`, or parts of it.

    python -m tests.chaos run [--rounds N] [--seed S] [--out build/chaos] [--only WORK] [--faults N] [--loopback]
    python -m tests.chaos report [--out build/chaos]

`run` appends a line to OUT/rounds.jsonl after every round and goes on where a stopped run of the same seed was; `report`
writes the tables of docs/reliability.md from that file.

Exit status: 0 nothing was lost, different or half-written; 1 something was; 2 usage.
"""

import argparse
import json
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tests.chaos.isolation import ISOLATED, SCENE, become_reaper, isolated, run_inside, why_not_isolated
from tests.chaos.plans import KINDS_OF_ROUNDS, SMALL_ROUNDS
from tests.chaos.report import ROUNDS, problems, read_rounds, write_report


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--rounds", type=int, default=8, help="rounds in all, those of earlier starts included")
    run.add_argument(
        "--small", action="store_true", help="three short rounds, and no fault of 20 s: a part of make test"
    )
    run.add_argument(
        "--seed", default=None, help="default: that of the run in OUT that is not finished, else a new one"
    )
    run.add_argument("--only", action="append", choices=("commands", "prepare", "sweep"), help="kinds of work")
    run.add_argument("--faults", type=int, default=None, help="faults of a round, at most")
    run.add_argument("--no-train-workers", action="store_true", help="leave Ray Train's groups out")
    run.add_argument("--loopback", action="store_true", help="take no namespaces")
    report = commands.add_parser("report")
    for part in (run, report):
        part.add_argument("--out", type=Path, default=Path("build/chaos"))
    args = parser.parse_args(argv)
    if args.command == "report":
        return write_report(args.out)
    if ISOLATED in os.environ:
        return _run_inside(args)
    args.out.mkdir(parents=True, exist_ok=True)
    args.seed = args.seed or _seed(args.out, args.rounds)
    print(f"SEED={args.seed}; results in {args.out / ROUNDS}", flush=True)
    why_not = "asked for" if args.loopback else why_not_isolated()
    if why_not:
        print(f"no namespaces ({why_not}): three nodes on the loopback; no partitions, no full disk", flush=True)
    words = [*(sys.argv[1:] if argv is None else argv), "--seed", args.seed, "--out", str(args.out)]
    code = run_inside(words, namespaces=not why_not)
    write = [line for line in read_rounds(args.out) if line["seed"].split("/")[0] == args.seed]
    for line in problems(write):
        print(line)
    return code


def _seed(out: Path, rounds: int) -> str:
    """The seed of the last run where it is not finished, else a new one."""
    lines = read_rounds(out)
    if lines:
        last = str(lines[-1]["seed"]).split("/")[0]
        if sum(line["seed"].split("/")[0] == last for line in lines) < rounds:
            return last
    return str(secrets.randbelow(10**6))


def _run_inside(args: argparse.Namespace) -> int:
    from tests.chaos.reference import digest_of_package, made
    from tests.chaos.rounds import play
    from tests.chaos.scene import opened

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    if not isolated():
        become_reaper()
    plans = [plan for plan in KINDS_OF_ROUNDS if not args.only or plan.work in args.only]
    plans = [plan for plan in plans if not (plan.workers and args.no_train_workers)]
    if args.small:
        plans, args.rounds = list(SMALL_ROUNDS), len(SMALL_ROUNDS)
    lines = read_rounds(args.out)
    known = {line["seed"] for line in lines}
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(fault["kind"] for fault in line["faults"] if fault["hit"])
    wanted = [number for number in range(args.rounds) if f"{args.seed}/{number}" not in known]
    if not wanted:
        print("every round of this seed is there already")
        return 0
    began = time.monotonic()
    bad = False
    with opened(Path(os.environ[SCENE]), seed=int(args.seed), with_cluster=True) as scene:
        reference = made(scene, args.out, workers=any(plan.workers for plan in plans))
        print(f"the scene is set after {time.monotonic() - began:.0f} s", flush=True)
        for number in wanted:
            plan = plans[number % len(plans)]
            if args.faults is not None:
                plan = replace(plan, faults=args.faults)
            seed = f"{args.seed}/{number}"
            print(f"round {number + 1} of {args.rounds}: {plan.name}", flush=True)
            done = play(plan, scene, reference, seed, counts, lambda told: print(f"  {told}", flush=True))
            counts += done.counts()
            of_run = {"seed": seed, "date": time.strftime("%Y-%m-%d"), "package": digest_of_package()}
            with (args.out / ROUNDS).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({**done.to_json(), **of_run, "namespaces": isolated()}) + "\n")
            found = {name: len(lines) for name, lines in done.verdict.problems.items()}
            bad = bad or bool(found)
            print(f"  {done.counts().total()} faults in {done.seconds:.0f} s; {found or 'all is well'}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
