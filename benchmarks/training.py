"""A training step beside those of the published DiSCo trainer and of sentence-transformers: time, memory, growth.

    python benchmarks/training.py --data DIR [--model minilm|bert-base] [--rounds 3] [--json FILE]

DIR holds conversations in TopiOCQA's format (see ``conversations.py``). Every round runs one epoch of Retort's own training loop
(reading, sampling, scoring, optimiser and all) and one step of each peer on the same turns and passages; one thread.
``--growth`` measures Retort alone over sample counts, tokens and batch sizes; ``--bf16`` trains in bfloat16, on both sides.
"""

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from measuring import Measured, added_peak_bytes, interleaved, pin_one_thread, write_result

SIZES = {"minilm": {"turns": 60, "passages": 1400}, "bert-base": {"turns": 20, "passages": 400}}
MAX_TOKENS = 256


def model_directory(name: str) -> Path:
    """The model as transformers and sentence-transformers load it."""
    from conversations import KEPT, bert_base_directory, experiment

    from retort.sparse.encoders.encoder import initial_student, save_student
    from retort.sparse.encoders.models import model_directory as directory_of
    from retort.sparse.tokens import Tokenizer

    config = experiment("minilm").encoder
    minilm = directory_of(config)
    assert minilm is not None
    if name == "bert-base":
        return bert_base_directory(minilm)
    directory = KEPT / "minilm-splade"
    if not (directory / "config.json").exists():
        tokenizer = Tokenizer(minilm)
        save_student(initial_student(config, tokenizer), directory, tokenizer=tokenizer, max_tokens=MAX_TOKENS)
    return directory


class OwnSteps:
    """Retort's training loop, one step with every call: it runs in a thread and waits between steps."""

    def __init__(self, data: Path, directory: Path, size: dict[str, int], overrides: dict[str, Any]) -> None:
        import torch
        from conversations import conversations, experiment

        from retort.distill.batches import epoch_batches
        from retort.progress import silent
        from retort.shards.prepare import prepare
        from retort.shards.reader import Collection, TrainingTurns
        from retort.sparse.encoders.encoder import initial_student

        workspace = conversations(data, **size)
        self.config = experiment(str(directory), **{"training__epochs": 10_000} | overrides)
        shards = prepare(workspace, self.config, silent)
        self.workspace, self.shards = workspace, shards
        self.turns, self.collection = TrainingTurns(shards.training), Collection(shards.vectors)
        self.student = initial_student(self.config.encoder, self.collection.tokenizer)
        settings = self.config.training
        self.batches = epoch_batches(self.turns.lengths, batch_turns=settings.batch_turns, seed=0, epoch=0)
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(torch.device("cpu"),), daemon=True)
        self._thread.start()

    def _run(self, device: Any) -> None:
        import torch

        from retort.distill.worker import Material, Worker, train

        torch.set_num_threads(1)
        self._go.acquire()

        def progress(*_: object) -> None:
            self._done.release()
            self._go.acquire()

        try:
            train(
                Material(self.config, self.turns, self.collection),
                self.student,
                worker=Worker(device),
                progress=progress,
            )
        except BaseException as error:
            self._failed = error
            self._done.release()
            raise

    def __call__(self) -> None:
        self._go.release()
        self._done.acquire()
        if self._failed is not None:
            raise self._failed

    def epoch(self) -> None:
        """As many steps as an epoch has: short and long turns alike."""
        for _ in self.batches:
            self()

    def texts(self) -> list[Any]:
        """The epoch's batches as the peers read them: the same turns, the positive and the teacher's first n passages."""
        import torch
        from peers import TextBatch

        from retort.corpora.collection import passage_parts
        from retort.corpora.context import context_of
        from retort.corpora.turns import read_turns

        turns = {turn.query_id: turn for turn in read_turns(self.workspace, "train")}
        passages: list[str] = []
        for part in passage_parts(self.workspace):
            table = self.workspace.folder("passages").read_table(part.name)
            columns = (table["title"].to_pylist(), table["text"].to_pylist())
            passages += [f"{title}. {text}" for title, text in zip(*columns, strict=True)]
        batches = []
        for numbers in self.batches:
            contexts, rows, scores = [], [], []
            for number in numbers:
                context = context_of(turns[self.turns.query_ids[int(number)]], self.config.context)
                contexts.append(" [SEP] ".join([context.question, *context.history]))
                ranked, teacher, positive = self.turns.ranking(int(number))
                n = self.config.sampling.count
                rows.append([int(self.turns.positive_rows(int(number))[0]), *ranked[:n].tolist()])
                scores.append([float(positive[0]), *teacher[:n].tolist()])
            texts = [[passages[row] for row in turn] for turn in rows]
            batches.append(TextBatch(contexts, texts, torch.tensor(scores)))
        return batches


def _own(data: Path, directory: Path, size: dict[str, int], overrides: dict[str, Any]) -> Callable[[], object]:
    return OwnSteps(data, directory, size, overrides)


def _disco(data: Path, directory: Path, size: dict[str, int], overrides: dict[str, Any]) -> Callable[[], object]:
    from peers import disco_step

    return disco_step(directory, OwnSteps(data, directory, size, overrides).texts(), max_tokens=MAX_TOKENS)


def _router(data: Path, directory: Path, size: dict[str, int], overrides: dict[str, Any]) -> Callable[[], object]:
    from peers import router_step

    return router_step(directory, OwnSteps(data, directory, size, overrides).texts(), max_tokens=MAX_TOKENS)


def side_by_side(data: Path, name: str, rounds: int, *, bf16: bool) -> dict[str, Any]:
    """Seconds a step and added memory of all three."""
    import torch
    from peers import disco_step, router_step

    directory, size = model_directory(name), SIZES[name]
    overrides: dict[str, Any] = {"training__precision": "bf16"} if bf16 else {}
    own = OwnSteps(data, directory, size, overrides)
    pin_one_thread()
    own.epoch()  # compiles what is compiled, and makes the optimiser's state
    texts = own.texts()
    tokens = float(own.turns.lengths.mean())
    autocast = torch.bfloat16 if bf16 else None
    work: dict[str, Callable[[], object]] = {
        "Retort": own.epoch,
        "DiSCo's step": disco_step(directory, texts, max_tokens=MAX_TOKENS, autocast=autocast),
    }
    everything = name == "minilm" and not bf16  # a step of the Router takes minutes on BERT-base, and is not asked for
    if everything:
        work["sentence-transformers Router"] = router_step(directory, texts, max_tokens=MAX_TOKENS)
    seconds = interleaved(work, rounds=rounds, warm=1 if everything else 0)
    steps = len(own.batches)
    mine = seconds["Retort"]
    seconds["Retort"] = Measured(mine.median / steps, mine.low / steps, mine.high / steps, mine.n)
    result: dict[str, Any] = {
        "model": name,
        "precision": "bf16" if bf16 else "fp32",
        "seconds": seconds,
        "tokens": tokens,
    }
    result["ratios"] = {k: v.median / seconds["Retort"].median for k, v in seconds.items() if k != "Retort"}
    if everything:
        makes = {"Retort": _own, "DiSCo's step": _disco, "sentence-transformers Router": _router}
        result["added_bytes"] = {k: added_peak_bytes(m, data, directory, size, overrides) for k, m in makes.items()}
    return result


def growth(data: Path, rounds: int) -> dict[str, Any]:
    """Seconds a step over sample counts, tokens and batch sizes, on MiniLM."""
    directory, size = model_directory("minilm"), SIZES["minilm"]
    changes: dict[str, dict[str, Any]] = {f"n {n}": {"sampling__count": n} for n in (1, 16, 64, 256)}
    changes |= {f"tokens {tokens}": {"encoder__query_tokens": tokens} for tokens in (64, 128, 256, 512)}
    changes |= {f"batch {turns}": {"training__batch_turns": turns} for turns in (5, 10, 20)}
    owns = {name: OwnSteps(data, directory, size, overrides) for name, overrides in changes.items()}
    pin_one_thread()
    seconds = interleaved({name: own.epoch for name, own in owns.items()}, rounds=rounds)
    per_step = {
        name: Measured(m.median / len(own.batches), m.low / len(own.batches), m.high / len(own.batches), m.n)
        for (name, m), own in zip(seconds.items(), owns.values(), strict=True)
    }
    return {"seconds": per_step, "tokens": {name: float(own.turns.lengths.mean()) for name, own in owns.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=sorted(SIZES), default="minilm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if args.growth:
        result = growth(args.data, args.rounds)
        for name, seconds in result["seconds"].items():
            print(f"{name:12s} {seconds.text()} s, {result['tokens'][name]:.0f} tokens a turn")
        write_result(args.json, "training growth", result)
        return 0
    import torch

    if args.bf16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        print("bf16 is left out: this processor computes it in software, about ten times slower than fp32")
        return 0
    result = side_by_side(args.data, args.model, args.rounds, bf16=args.bf16)
    for name, seconds in result["seconds"].items():
        ratio = f", {result['ratios'][name]:.1f} times Retort's" if name in result["ratios"] else ""
        memory = f", {result['added_bytes'][name] / 2**20:.0f} MiB added" if "added_bytes" in result else ""
        print(f"{args.model} {result['precision']} {name:30s} {seconds.text()} s a step{ratio}{memory}")
    write_result(args.json, "training", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
