"""Encoding passages with a SPLADE model beside sentence-transformers: passages a second, and whether the vectors agree.

    python benchmarks/encoding.py --data DIR [--passages 128] [--rounds 3] [--json FILE]

The time includes tokenising, on one thread, with MiniLM (its head tied to the word embeddings) and passages of up to 256
tokens. Where the processor computes in bf16 (``machine.bf16``), the bf16 scan and the bf16 encoder are measured too.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from measuring import interleaved, pin_one_thread, write_result
from training import MAX_TOKENS, model_directory


def passage_texts(data: Path, count: int) -> list[str]:
    """Passages spread evenly over the collection, as ``title. text``."""
    lines = (data / "collection.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines[:: max(1, len(lines) // count)][:count]]
    return [f"{title}. {text}" for _, text, title in rows]


def measure(data: Path, count: int, rounds: int) -> dict[str, Any]:
    """Seconds for all passages, and how far the vectors are apart."""
    import numpy as np
    import torch
    from peers import plain_encoder

    from retort.sparse.encoders.encoder import encode_ids, load_student

    pin_one_thread()
    directory = model_directory("minilm")
    texts = passage_texts(data, count)
    student, tokenizer = load_student(directory)

    def own(precision: str) -> Any:
        ids = [tokenizer.context_ids(t, [], order="newest_first", max_tokens=MAX_TOKENS) for t in texts]
        return encode_ids(student, ids, precision=precision)

    theirs = plain_encoder(directory, texts, max_tokens=MAX_TOKENS, batch_size=32)
    work = {"Retort": lambda: own("fp32"), "sentence-transformers": theirs}
    has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if has_bf16:
        work |= {"Retort, bf16 scan": lambda: own("bf16_scan"), "Retort, bf16": lambda: own("bf16")}
    seconds = interleaved(work, rounds=rounds)
    expected = theirs().to_dense().numpy()
    mine = own("fp32").to_scipy().toarray()
    ids = [tokenizer.context_ids(t, [], order="newest_first", max_tokens=MAX_TOKENS) for t in texts]
    result: dict[str, Any] = {
        "passages": count,
        "tokens": float(np.mean([len(i) for i in ids])),
        "seconds": seconds,
        "largest_difference": float(np.abs(expected - mine).max()),
        "mean_active_entries": float((mine > 0).sum(axis=1).mean()),
        "passages_per_second": {name: count / m.median for name, m in seconds.items()},
    }
    for precision in ("bf16_scan", "bf16"):
        fewer = own(precision) if has_bf16 else encode_ids(student, ids[:16], precision=precision)
        other = fewer.to_scipy().toarray()
        same = mine[: len(other)]
        cosine = (other * same).sum(axis=1) / np.linalg.norm(other, axis=1) / np.linalg.norm(same, axis=1)
        result[f"cosine_{precision}"] = float(cosine.min())
    return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    result = measure(args.data, args.passages, args.rounds)
    for name, seconds in result["seconds"].items():
        ratio = result["seconds"]["sentence-transformers"].median / seconds.median
        rate = result["passages_per_second"][name]
        print(
            f"{name:24s} {seconds.text(digits=2)} s, {rate:.1f} passages a second, {ratio:.2f} times sentence-transformers"
        )
    print({key: value for key, value in result.items() if key.startswith(("largest", "cosine", "mean", "tokens"))})
    write_result(args.json, "encoding", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
