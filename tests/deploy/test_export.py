"""An exported run in sentence-transformers and in onnxruntime: the vectors that it has here, and a card that is whole."""

import ast
import importlib.util
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sentence_transformers import SparseEncoder

from retort.config import describe, experiment_from, load_experiment, with_overrides
from retort.corpora.collection import read_passages
from retort.corpora.context import context_text
from retort.corpora.turns import read_turns
from retort.deploy.export import export_run
from retort.evaluation.evaluate import context_input_ids
from retort.evaluation.runs import list_runs
from retort.evaluation.students import open_run
from retort.records import passage_text
from retort.shards.reader import Collection
from retort.shards.texts import passage_input_ids
from retort.sparse.encoders.encoder import encode_ids, initial_student, load_student, save_student
from retort.sparse.objective.regularizers import Limits
from retort.storage import Workspace
from retort.storage.layout import RUN

SPLADE = {"encoder.family": "splade", "encoder.passage_tokens": 24, "encoder.query_tokens": 48}
LIMITS = Limits(max_terms=5, threshold=0.3)


@pytest.fixture
def place(evaluated_path, tmp_path) -> Path:
    return Path(shutil.copytree(evaluated_path, tmp_path / "workspace"))


@pytest.fixture
def made(place, tmp_path):
    """Makes a finished run of untrained encoders, which differ as trained ones do: in their weights."""

    def make(settings, *, limits=None, cost_threshold=0.0):
        workspace = Workspace(place)
        (trained,) = list_runs(workspace)
        folder = workspace.folder(f"runs/{trained}")
        data = with_overrides(folder.read_json("experiment.json"), settings)
        config = experiment_from(data, source="test")
        collection = Collection(workspace.folder(folder.read_json("inputs.json")["vectors"]))
        tokenizer = collection.tokenizer
        if cost_threshold:
            share = torch.from_numpy(np.asarray(collection.passage_share, dtype=np.float32))
            limits = replace(limits or Limits(), cost_threshold=cost_threshold, passage_share=share)
        name = f"made-{len(list_runs(workspace))}"
        encoders = {RUN.checkpoint: (0.5, config.encoder.query_tokens)}
        if config.trains_passages:
            encoders[RUN.passage_checkpoint] = (0.25, config.encoder.passage_tokens)
        with workspace.folder(f"runs/{name}").writing("run", 1, config={"name": name}, inputs={}) as writer:
            for prefix, (moved, tokens) in encoders.items():
                student = initial_student(config.encoder, tokenizer)
                for parameter in student.parameters():
                    parameter.data += 0.01 * moved * parameter.data.sin()
                student.limits = limits or Limits()
                save_student(student, tmp_path / name / prefix, tokenizer=tokenizer, max_tokens=tokens)
                writer.add_tree(tmp_path / name / prefix, prefix)
            for file, content in (
                ("experiment.json", config.model_dump_json(by_alias=True)),
                ("experiment.yaml", yaml.safe_dump(json.loads(config.model_dump_json(by_alias=True)))),
                ("inputs.json", json.dumps(folder.read_json("inputs.json"))),
            ):
                writer.add(writer.folder.write_bytes(file, content.encode()))
        return open_run(workspace, name)

    return make


def theirs(directory, **settings):
    return SparseEncoder(str(directory), device="cpu", local_files_only=True, **settings)


def dense(vectors):
    return vectors.to_scipy().toarray()


def encoded(encode, texts):
    return encode(texts, convert_to_sparse_tensor=False, show_progress_bar=False).numpy()


def contexts(run, count=40):
    """Turns of any length, as ids and as text."""
    turns = read_turns(run.folder.workspace, "dev")[:count]
    assert any(len(context_text(turn, run.config.context).split()) > run.config.encoder.query_tokens for turn in turns)
    return context_input_ids(turns, run.config, run.tokenizer), [
        context_text(turn, run.config.context) for turn in turns
    ]


def read_alike(model, run, ids, texts):
    """Rows that stock modules tokenise as Retort does; a cut right behind a separator leaves them one separator more."""
    features = model.preprocess(texts, task="query")
    rows = [
        row[mask.bool()].tolist() for row, mask in zip(features["input_ids"], features["attention_mask"], strict=True)
    ]
    separator = run.tokenizer.sep_id
    newest = run.config.context.order == "newest_first"
    doubled = [[*i, separator] if newest else [i[0], separator, *i[1:]] for i in (row.tolist() for row in ids)]
    alike = [number for number, row in enumerate(rows) if row == ids[number].tolist()]
    assert all(rows[number] == doubled[number] for number in set(range(len(rows))) - set(alike))
    assert len(alike) > 0.8 * len(rows)
    assert any(len(ids[number]) == run.config.encoder.query_tokens for number in alike)
    return alike


def uncut(run, ids):
    """The queries without limits."""
    limits, run.student.limits = run.student.limits, Limits()
    queries = dense(encode_ids(run.student, ids))
    run.student.limits = limits
    return queries


def passages(run, count=20):
    return [passage_text(p.title, p.text) for p in read_passages(run.folder.workspace, list(range(count)))]


@pytest.mark.parametrize(
    "settings",
    [{}, {"context.order": "oldest_first"}, {"context.separator": " | "}],
    ids=["newest first", "oldest first", "another separator"],
)
def test_a_lexical_export_has_the_students_queries_and_the_collections_passages(made, tmp_path, settings):
    run = made({"encoder.query_tokens": 24, **settings}, limits=LIMITS, cost_threshold=4.0)
    export_run(run.folder.workspace, run.name, tmp_path / "out")
    model = theirs(tmp_path / "out", trust_remote_code=True)
    ids, texts = contexts(run)
    expected = dense(encode_ids(run.student, ids))

    assert 0 < np.count_nonzero(expected, axis=1).max() <= 5 and expected[expected > 0].min() > 0.3
    least = 4.0 * np.asarray(Collection(run.vectors).passage_share)
    pruned = (uncut(run, ids) > 0.3) & (uncut(run, ids) <= least)
    assert pruned.any() and not expected[pruned].any()
    np.testing.assert_allclose(encoded(model.encode_query, texts), expected, atol=1e-5)
    found = encoded(model.encode_document, passages(run))
    np.testing.assert_allclose(found, dense(Collection(run.vectors).vectors.take(range(20))), atol=1e-5, rtol=1e-5)
    model.save(str(tmp_path / "again"))
    again = theirs(tmp_path / "again", trust_remote_code=True)
    np.testing.assert_array_equal(encoded(again.encode_query, texts[:3]), encoded(model.encode_query, texts[:3]))
    assert {token for token, _ in model.decode(model.encode_document("the retort"))} <= {"the", "retort", *"retort"} | {
        f"##{letter}" for letter in "retort"
    }


@pytest.mark.parametrize("trained", [False, True], ids=["frozen passages", "trained passages"])
def test_a_splade_export_is_stock_modules_for_queries_and_passages(made, tmp_path, trained):
    settings = dict(SPLADE)
    if trained:
        settings |= {"training.passage_encoder": "trained", "regularization.passage_weight": 0.01}
    run = made(settings)
    export_run(run.folder.workspace, run.name, tmp_path / "out")
    model = theirs(tmp_path / "out")
    ids, texts = contexts(run)
    alike = read_alike(model, run, ids, texts)
    expected = dense(encode_ids(run.student, ids))[alike]

    np.testing.assert_allclose(encoded(model.encode_query, texts)[alike], expected, atol=1e-5, rtol=1e-5)
    frozen = initial_student(run.config.encoder, run.tokenizer).eval()
    encoder = load_student(run.folder.local_tree(RUN.passage_checkpoint))[0] if trained else frozen
    its_ids = [passage_input_ids(run.tokenizer, text, max_tokens=24) for text in passages(run)]
    expected = dense(encode_ids(encoder, its_ids))
    np.testing.assert_allclose(encoded(model.encode_document, passages(run)), expected, atol=1e-5, rtol=1e-5)
    assert np.abs(expected - dense(encode_ids(run.student, its_ids))).max() > 1e-3, "the two encoders are not one"


def test_hard_limits_and_the_order_of_a_context_survive_a_splade_export(made, tmp_path):
    run = made({**SPLADE, "context.order": "oldest_first"}, limits=LIMITS, cost_threshold=2.0)
    export_run(run.folder.workspace, run.name, tmp_path / "out")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        theirs(tmp_path / "out")
    model = theirs(tmp_path / "out", trust_remote_code=True)
    ids, texts = contexts(run)
    alike = read_alike(model, run, ids, texts)
    expected = dense(encode_ids(run.student, ids))[alike]

    assert np.count_nonzero(expected, axis=1).max() == 5
    np.testing.assert_allclose(encoded(model.encode_query, texts)[alike], expected, atol=1e-5, rtol=1e-5)
    assert np.count_nonzero(encoded(model.encode_document, passages(run)), axis=1).max() > 5


def test_modules_beside_a_model_import_nothing_of_retort():
    folder = Path(importlib.util.find_spec("retort.deploy.exported").origin).parent
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) == 3
    for path in files:
        tree = ast.parse(path.read_text())
        names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert names and not any(name.startswith("retort") for name in names)


def test_the_card_says_what_the_workspace_knows(evaluated_path, tmp_path, retort):
    (run,) = list_runs(Workspace(evaluated_path))
    done = retort("export", run, tmp_path / "student", "-w", evaluated_path, "--json")
    assert done.code == 0 and done.json()["run"] == run and "retort_lexical.py" in done.json()["files"]
    card = (tmp_path / "student" / "README.md").read_text()
    front = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, flags=re.DOTALL)[1])
    assert front["library_name"] == "sentence-transformers" and "sparse-encoder" in front["tags"]
    assert "base_model" not in front and "there is no base model" in card
    measured = json.loads(next(evaluated_path.glob(f"runs/{run}/evaluations/*dev-exact-*/measures.json")).read_text())
    assert f"| dev | {measured['n']} | {measured['R@100']:.3f} |" in card and "| validate |" in card
    assert f"{measured['FLOPS']:.3g} | {measured['L0']:.1f} |" in card
    for heading, words in describe(load_experiment(tmp_path / "student" / "experiment.yaml")).rows().items():
        assert f"\n| {heading} | {words} |\n" in card
    code = re.search(r"```python\n(.*?)```", card, flags=re.DOTALL)[1]
    namespace: dict = {}
    exec(code.replace('"student"', repr(str(tmp_path / "student"))), namespace)  # what the card shows works
    assert namespace["query"].shape == namespace["passage"].shape


@pytest.mark.parametrize("family", ["lexical", "splade"])
def test_onnx_has_the_same_query_vectors(made, tmp_path, family):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"extra onnx: {name} is not installed")
    import onnxruntime

    run = made({**SPLADE, "encoder.family": family}, limits=LIMITS, cost_threshold=4.0)
    export_run(run.folder.workspace, run.name, tmp_path / "out", onnx=True)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "onnx" / "query_encoder.onnx")
    ids, _ = contexts(run)
    longest = max(len(row) for row in ids)
    padded = np.array([np.pad(row, (0, longest - len(row))) for row in ids], dtype=np.int64)
    mask = np.array([np.arange(longest) < len(row) for row in ids], dtype=np.int64)
    (found,) = session.run(["vectors"], {"input_ids": padded, "attention_mask": mask})
    np.testing.assert_allclose(found, dense(encode_ids(run.student, ids)), atol=1e-4)
