"""Exact search side by side: Retort's index, an inverted index as SPLADE's published code searches it, and scipy.

    python benchmarks/search.py --passages 10000 100000 1000000 --json search.json

Passages and queries are drawn: entries by a Zipf-Mandelbrot law, 1 / (rank + 100), over V = 30,522 word pieces, so that the
most frequent piece is in 30% of passages; weights log-normal. Engines take turns on one pinned processor, batch after batch;
a line has the median of the rounds, and the least and the greatest. What an engine needs in memory is asked in a process of
its own. Peers are our own writing of what others do; Lucene and Seismic (``deployed.py``) are left out where their packages
are missing.
"""

import argparse
import array
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.sparse

sys.path.insert(0, str(Path(__file__).parent))

from deployed import Lucene, Seismic
from measuring import pin_one_thread, write_result

from retort.sparse.search.exact import ExactIndex
from retort.sparse.search.postings import Postings, build_postings, document_frequency, frequent_terms
from retort.sparse.vectors import SparseVectors

VOCABULARY, RANK_SHIFT, SIGMA = 30_522, 100, 0.6
PART_PASSAGES = 122_880
Rankings = list[tuple[np.ndarray, np.ndarray]]  # rows and scores of each query, best first


@numba.njit(cache=True)
def _draw(share, passages, seed, weights):
    """CSR of independent draws: each term skips from one passage that has it to the next; sorted by a counting sort."""
    np.random.seed(seed)
    rows = np.empty(int(passages * share.sum() * 1.05) + 10_000, np.int32)
    ends = np.empty(len(share), np.int64)
    count = 0
    indptr = np.zeros(passages + 1, np.int64)
    for term in range(len(share)):
        scale = 1.0 / np.log1p(-share[term])
        row = int(np.log(1.0 - np.random.random()) * scale)
        while row < passages:
            rows[count] = row
            indptr[row + 1] += 1
            count += 1
            row += 1 + int(np.log(1.0 - np.random.random()) * scale)
        ends[term] = count
    indptr = np.cumsum(indptr)
    indices, values, following = np.empty(count, np.int32), np.empty(count, np.float32), indptr.copy()
    start = 0
    for term in range(len(share)):
        for drawn_entry in range(start, ends[term]):
            at = following[rows[drawn_entry]]
            following[rows[drawn_entry]] += 1
            indices[at] = term
            values[at] = weights[np.random.randint(0, len(weights))]
        start = ends[term]
    return indptr, indices, values


def drawn(passages: int, entries: int, seed: int) -> SparseVectors:
    """Passages, or queries, with about so many entries each."""
    generator = np.random.default_rng(1)
    law = 1 / (generator.permutation(VOCABULARY) + RANK_SHIFT)
    weights = generator.lognormal(0, SIGMA, 2**16).astype(np.float32)
    return SparseVectors(*_draw(law / law.sum() * entries, passages, seed, weights), VOCABULARY)


class Retort:
    """This package's index: blocks, bounds, memory-mapped files."""

    name = "retort"
    package = "retort"
    exact = True
    at_most = 10**9

    def build(self, vectors: SparseVectors, folder: Path) -> None:
        frequent = frequent_terms(document_frequency([vectors]), len(vectors))
        np.save(folder / "frequent.npy", frequent)
        np.save(folder / "places.npy", np.arange(len(vectors)))
        for part, low in enumerate(range(0, len(vectors), PART_PASSAGES)):
            indptr = vectors.indptr[low : low + PART_PASSAGES + 1]
            entries = slice(indptr[0], indptr[-1])
            rows = SparseVectors(indptr - indptr[0], vectors.indices[entries], vectors.values[entries], VOCABULARY)
            np.save(folder / f"part-{part:05d}.npy", build_postings(rows, frequent).memory)

    def open(self, folder: Path) -> None:
        files = sorted(folder.glob("part-*.npy"))
        parts = [(n * PART_PASSAGES, Postings.of(np.load(file, mmap_mode="r"))) for n, file in enumerate(files)]
        places, frequent = np.load(folder / "places.npy", mmap_mode="r"), np.load(folder / "frequent.npy")
        self.index = ExactIndex(parts, places, frequent=frequent, vocabulary_size=VOCABULARY)

    def search(self, queries: SparseVectors, k: int) -> Rankings:
        return [(ranking.rows, ranking.scores) for ranking in self.index.search(queries, k)]


@numba.njit(cache=True, nogil=True)
def _score_all(posting_ids, posting_values, terms, weights, passages):
    scores = np.zeros(passages, np.float32)
    for number in range(len(terms)):
        ids, values, weight = posting_ids[terms[number]], posting_values[terms[number]], weights[number]
        for position in range(len(ids)):
            scores[ids[position]] += weight * values[position]
    retrieved = np.flatnonzero(scores > 0)
    return retrieved, scores[retrieved]


class NumbaLists:
    """An array pair per term in a dictionary, filled passage by passage; one array of scores over all passages.

    Filling takes minutes for a million passages: above 200,000 the same lists are made by scipy, and no time is given.
    """

    name = "numba lists"
    package = "numba"
    exact = True
    at_most = 10**9
    builds_up_to = 200_000

    def convert(self, vectors: SparseVectors, folder: Path) -> None:
        matrix = vectors.to_scipy().tocsc()
        np.save(folder / "lengths.npy", np.diff(matrix.indptr))
        np.save(folder / "ids.npy", matrix.indices)
        np.save(folder / "values.npy", matrix.data)
        (folder / "passages.json").write_text(str(len(vectors)))

    def build(self, vectors: SparseVectors, folder: Path) -> None:
        ids = [array.array("i") for _ in range(VOCABULARY)]
        values = [array.array("f") for _ in range(VOCABULARY)]
        for row in range(len(vectors)):
            for term, value in zip(*(entries.tolist() for entries in vectors.row(row)), strict=True):
                ids[term].append(row)
                values[term].append(value)
        np.save(folder / "lengths.npy", np.array([len(rows) for rows in ids]))
        np.save(folder / "ids.npy", np.concatenate([np.frombuffer(rows, np.int32) for rows in ids]))
        np.save(folder / "values.npy", np.concatenate([np.frombuffer(weights, np.float32) for weights in values]))
        (folder / "passages.json").write_text(str(len(vectors)))

    def open(self, folder: Path) -> None:
        ends = np.cumsum(np.load(folder / "lengths.npy"))
        ids, values = np.load(folder / "ids.npy"), np.load(folder / "values.npy")
        self.ids = numba.typed.Dict.empty(numba.int64, numba.int32[:])
        self.values = numba.typed.Dict.empty(numba.int64, numba.float32[:])
        for term, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            self.ids[term], self.values[term] = ids[start:end], values[start:end]
        self.passages = json.loads((folder / "passages.json").read_text())

    def search(self, queries: SparseVectors, k: int) -> Rankings:
        rankings = []
        for number in range(len(queries)):
            terms, weights = queries.row(number)
            rows, scores = _score_all(self.ids, self.values, terms.astype(np.int64), weights, self.passages)
            rankings.append(_top(rows, scores, k))
        return rankings


class Scipy:
    """One sparse product of the collection's matrix with the batch."""

    name = "scipy product"
    package = "scipy"
    exact = True
    at_most = 10**9

    def build(self, vectors: SparseVectors, folder: Path) -> None:
        scipy.sparse.save_npz(folder / "matrix.npz", vectors.to_scipy(), compressed=False)

    def open(self, folder: Path) -> None:
        self.matrix = scipy.sparse.load_npz(folder / "matrix.npz")

    def search(self, queries: SparseVectors, k: int) -> Rankings:
        scores = (self.matrix @ queries.to_scipy().T).T.toarray()
        return [_top(np.arange(scores.shape[1]), row, k) for row in scores]


def _top(rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.argpartition(-scores, k)[:k] if len(scores) > k else np.arange(len(scores))
    order = chosen[np.argsort(-scores[chosen], kind="stable")]
    return rows[order], scores[order]


ENGINES: dict[str, Any] = {engine.name: engine for engine in (Retort, NumbaLists, Scipy, Lucene, Seismic)}


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(seconds: Sequence[float], queries: int) -> dict[str, float]:
    """Milliseconds a query: median, least, greatest."""
    each = [1000 * batch_seconds / queries for batch_seconds in seconds]
    return {"median_ms": statistics.median(each), "least_ms": min(each), "greatest_ms": max(each)}


def memory_mib(engine: str, folder: Path, terms: int, args: argparse.Namespace) -> float:
    """Peak resident MiB of a process that opens an index and searches it for one batch; mapped pages count."""
    command = [sys.executable, __file__, "--memory-of", engine, "--folder", str(folder), "--terms", str(terms)]
    options = ["--k", str(args.k), "--batch", str(args.batch)]
    return float(subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout)


def measure(passages: int, engines: list[str], folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Build, open and search a collection of this size with every engine; one line per engine and length of queries."""
    vectors = drawn(passages, 200, seed=passages)
    print(f"\n{passages:,} passages, {vectors.entries / passages:.0f} entries each", flush=True)
    opened, lines = {}, []
    for name in engines:
        if passages > ENGINES[name].at_most:
            continue
        index_folder = folder / f"{name.replace(' ', '-')}-{passages}"
        index_folder.mkdir()
        engine = ENGINES[name]()
        engine.build(drawn(200, 200, seed=0), index_folder)  # compiles what is compiled
        build = None
        if passages > getattr(engine, "builds_up_to", passages):
            engine.convert(vectors, index_folder)
        else:
            build = timed(partial(engine.build, vectors, index_folder))
        opening = min(timed(partial(engine.open, index_folder)) for _ in range(3))
        size = sum(file.stat().st_size for file in index_folder.rglob("*") if file.is_file())
        opened[name] = (engine, index_folder, {"build_s": build, "open_ms": 1000 * opening, "disk_mib": size / 2**20})
    for terms in args.terms:
        queries = drawn(args.batch, terms, seed=7)
        first = {name: engine.search(queries, args.k) for name, (engine, _, _) in opened.items()}
        overlap = {}
        for name, rankings in first.items():
            pairs = list(zip(rankings, first[engines[0]], strict=True))
            overlap[name] = float(np.mean([len(np.intersect1d(a[0], b[0])) / len(b[0]) for a, b in pairs]))
            if ENGINES[name].exact:
                for (_, scores), (_, others) in pairs:
                    np.testing.assert_allclose(scores, others, rtol=1e-4)
        seconds: dict[str, list[float]] = {name: [] for name in opened}
        for _ in range(args.rounds):
            for name, (engine, _, _) in opened.items():
                seconds[name].append(timed(partial(engine.search, queries, args.k)))
        base = statistics.median(seconds[engines[0]])
        for name, (_, index_folder, costs) in opened.items():
            line = {"passages": passages, "terms": terms, "engine": name, **spread(seconds[name], args.batch), **costs}
            line |= {"overlap": overlap[name], "entries": vectors.entries}
            line |= {
                "times": statistics.median(seconds[name]) / base,
                "peak_mib": memory_mib(name, index_folder, terms, args),
            }
            lines.append(line)
            built = "      -" if line["build_s"] is None else f"{line['build_s']:7.2f}"
            print(
                f"{terms:4} terms  {name:14} {line['median_ms']:8.2f} ms/query ({line['least_ms']:.2f} to "
                f"{line['greatest_ms']:.2f})  x{line['times']:5.1f}   build {built} s   open "
                f"{line['open_ms']:8.2f} ms   overlap {line['overlap']:.3f}   "
                f"disk {line['disk_mib']:6.0f} MiB   peak {line['peak_mib']:6.0f} MiB",
                flush=True,
            )
    return lines


def _of(lines: list[dict[str, Any]], engine: str, passages: int, terms: int) -> dict[str, Any] | None:
    wanted = (engine, passages, terms)
    return next((line for line in lines if (line["engine"], line["passages"], line["terms"]) == wanted), None)


def summary(lines: list[dict[str, Any]], k: int) -> dict[str, Any]:
    """Ratios to the numba lists, a table, and the figures from which ``table.py`` computes."""
    targets = []
    sizes = sorted({line["passages"] for line in lines})
    lengths = sorted({line["terms"] for line in lines})
    for passages in sizes:
        for terms in lengths:
            own, peer = (_of(lines, name, passages, terms) for name in (Retort.name, NumbaLists.name))
            if own and peer and passages >= 100_000:
                what = f"exact search, {passages:,} passages, k {k}, {terms} terms, against numba lists"
                got = peer["median_ms"] / own["median_ms"]
                targets.append({"what": what, "least": 1.5, "aim": 5, "got": got, "lower": False, "unit": "x"})
        own, peer = (_of(lines, name, passages, lengths[0]) for name in (Retort.name, NumbaLists.name))
        if own and peer and passages >= 100_000 and peer["build_s"]:
            what = f"index build and save, {passages:,} passages, against numba lists"
            got = peer["build_s"] / own["build_s"]
            targets.append({"what": what, "least": 10, "aim": 30, "got": got, "lower": False, "unit": "x"})
    largest = _of(lines, Retort.name, sizes[-1], lengths[0])
    result: dict[str, Any] = {"targets": targets, "tables": [_table(lines, terms) for terms in lengths]}
    if largest:
        what = f"opening an index of {sizes[-1]:,} passages"
        target = {"what": what, "least": 50, "aim": 5, "got": largest["open_ms"], "lower": True, "unit": " ms"}
        targets.append(target)
        result |= {
            "index_bytes_per_entry": largest["disk_mib"] * 2**20 / largest["entries"],
            "build_seconds_per_entry": largest["build_s"] / largest["entries"],
            "ms_per_million_passages": largest["median_ms"] / largest["passages"] * 1e6,
        }
    return result


def _table(lines: list[dict[str, Any]], terms: int) -> dict[str, Any]:
    rows = []
    for line in lines:
        if line["terms"] == terms:
            spread = f"{line['median_ms']:.2f} ({line['least_ms']:.2f}-{line['greatest_ms']:.2f})"
            costs = [
                "not built" if line["build_s"] is None else f"{line['build_s']:.1f}",
                f"{line['open_ms']:.1f}",
                f"{line['disk_mib']:.0f}",
                f"{line['peak_mib']:.0f}",
            ]
            rows.append([f"{line['passages']:,}", line["engine"], spread, f"{line['overlap']:.3f}", *costs])
    header = ["passages", "engine", "ms a query", "overlap with the exact top k", "build and save, s", "open, ms"]
    return {"title": f"Queries of {terms} terms", "header": [*header, "disk, MiB", "peak memory, MiB"], "rows": rows}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--terms", type=int, nargs="+", default=[60, 200], help="of a query")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64, help="queries")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="for the indexes; by default a temporary one")
    parser.add_argument("--json", type=Path, help="write the lines there")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    pin_one_thread()
    if args.memory_of:
        engine = ENGINES[args.memory_of]()
        engine.open(args.folder)
        engine.search(drawn(args.batch, args.terms[0], seed=7), args.k)
        # Not getrusage: its peak takes over the parent's.
        (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(int(peak.split()[1]) / 1024)
        return 0
    engines = []
    for name in args.engines:
        if importlib.util.find_spec(ENGINES[name].package) is None:
            print(f"{name} is left out: {ENGINES[name].package} is not installed")
        elif not hasattr(ENGINES[name], "search"):
            print(f"{name} is left out: nobody has written it yet")
        else:
            engines.append(name)
    lines = []
    for passages in args.passages:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            lines += measure(passages, engines, Path(folder), args)
    write_result(args.json, "search", {"lines": lines, **summary(lines, args.k)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
