"""The command line: bad input is told of before anything starts, JSON is one document, help answers at once."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
import yaml
from tests.waiting import patience

from retort.cli import app
from retort.evaluation.runs import list_runs
from retort.search.space import load_space
from retort.search.sweep import sweep_folder
from retort.search.tracked import distilled_tags
from retort.storage import Workspace
from retort.sweeps.sweep import read_sweep, write_description, write_front, write_trial
from retort.sweeps.trial import TrialPoint
from retort.tracking import MlflowTracker, default_tracking_uri, surely_logged

MEASURES = {"n", "R@100", "R@10", "RR", "nDCG@3", "FLOPS", "L0"}
COLLECTION = "id\ttext\ttitle\n1\tRome is old.\tRome\n"
TOPICS = [
    {"conv_id": 1, "turn_id": 1, "question": "How old is Rome?", "answers": [], "positive_ctxs": [{"passage_id": "1"}]}
]


class Place:
    """What a bad command may name: a workspace with a corpus, an experiment, and files beside them."""

    def __init__(self, folder: Path, workspace: Path, experiment: Path, space: Path) -> None:
        self.folder, self.workspace, self.experiment, self.space = folder, workspace, experiment, space

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def changed_space(self, *, without: str = "", **keys: object) -> Path:
        data = yaml.safe_load(self.space.read_text()) | keys
        data.pop(without, None)
        return self.file("space.yaml", yaml.safe_dump(data, sort_keys=False))

    def topiocqa(self, *, collection: str | bytes = COLLECTION, topics: str | None = None) -> list[object]:
        content = json.dumps(TOPICS, indent=1) if topics is None else topics
        files = [self.file("topics.json", content), self.file("collection.tsv", collection)]
        return ["import", "topiocqa", *files, "--split", "new", "-w", self.workspace]


@pytest.fixture
def place(tmp_path, imported_copy, experiment_file, smoke_space):
    return Place(tmp_path / "files", imported_copy, experiment_file, smoke_space)


def distill(*overrides: str, workspace: str | None = None) -> Callable[[Place], list[object]]:
    return lambda place: ["distill", place.experiment, "-w", workspace or place.workspace, *overrides]


def encoder_that_is_no_masked_lm(place: Place) -> list[object]:
    config = place.file("model/config.json", json.dumps({"architectures": ["BertModel"], "model_type": "bert"}))
    return [
        "prepare",
        place.experiment,
        "-w",
        place.workspace,
        "encoder.family=splade",
        f"encoder.model={config.parent}",
    ]


def rewrites_of(query_id: str) -> Callable[[Place], list[object]]:
    def words(place: Place) -> list[object]:
        file = place.file("rewrites.jsonl", json.dumps({"query_id": query_id, "rewrite": "How old is Rome?"}) + "\n")
        return ["rewrites", "add", file, "--teacher", "mine", "--split", "train", "-w", place.workspace]

    return words


def same_id_with_another_text(place: Place) -> list[object]:
    return place.topiocqa(collection=COLLECTION + "twin-0\tAnother text.\ttwin\n")


def model_of_minilms_size(place: Place) -> list[object]:
    sizes = {"model_type": "bert", "num_hidden_layers": 6, "max_position_embeddings": 512}
    model = place.file("model/config.json", json.dumps({"architectures": ["BertModel"], **sizes})).parent
    return ["distill", place.experiment, "-w", place.workspace, f"encoder.model={model}"]


def workspace_with(content: str) -> Callable[[Place], list[object]]:
    def words(place: Place) -> list[object]:
        return ["import", "synthetic", "-w", place.file("other/workspace.json", content).parent]

    return words


BAD: dict[str, tuple[Callable[[Place], list[object]], list[str]]] = {
    "unknown key": (
        distill("objective.contrastive_wight=0.1"),
        ["objective.contrastive_wight: unknown key; did you mean contrastive_weight?"],
    ),
    "out of bounds": (
        distill("objective.contrastive_weight=1.5"),
        ["objective.contrastive_weight: .* less than or equal to 1, got 1.5"],
    ),
    "several at once": (
        distill("training.epochs=0", "sampling.count=99", "objective.temperature=warm"),
        ["sampling: count=99 samples do not fit", "objective.temperature: .*got 'warm'", "training.epochs: .*got 0"],
    ),
    "no key=value": (
        distill("objective", "=1"),
        ["command line: 'objective' is no key=value", "command line: '=1' is no key=value"],
    ),
    "a section that is none": (
        distill("training.epochs.most=1"),
        ["training.epochs.most: epochs holds 1, not settings"],
    ),
    "missing workspace": (
        distill(workspace="/nowhere/at/all"),
        ["no workspace at /nowhere/at/all; an import makes one"],
    ),
    "missing experiment": (lambda p: ["distill", "none.yaml", "-w", p.workspace], ["none.yaml: no such file"]),
    "broken experiment": (
        lambda p: ["distill", p.file("e.yaml", "training: {epochs: 1\n"), "-w", p.workspace],
        [r"e.yaml: is no valid YAML: expected"],
    ),
    "unknown teacher": (
        distill("teacher.names=[nobody]"),
        ["has no rewrites/nobody/train; teachers of 'train' there: synthetic"],
    ),
    "a teacher by a slip": (distill("teacher.names=[syntetic]"), ["did you mean synthetic. teachers of 'train' there"]),
    "a split by a slip": (
        lambda p: ["evaluate", "baseline:last", "--split", "dve", "-w", p.workspace],
        ["has no turns/dve; did you mean dev. splits there: dev, train"],
    ),
    "validate by a slip": (
        lambda p: ["evaluate", "baseline:last", "--split", "validat", "-w", p.workspace],
        ["has no turns/validat; did you mean validate. "],
    ),
    "no masked LM": (
        encoder_that_is_no_masked_lm,
        [r"encoder.model: .*/model is no masked LM \(its config.json names \['BertModel'\]\)"],
    ),
    "more layers than there are": (
        lambda p: [*model_of_minilms_size(p), "encoder.layers=99"],
        ["encoder.layers: 99 asked for, the model has 6"],
    ),
    "more tokens than can be read": (
        lambda p: [*model_of_minilms_size(p), "encoder.query_tokens=600"],
        ["encoder: 600 tokens asked for, the model reads up to 512"],
    ),
    "a model without a tokeniser": (
        lambda p: [*model_of_minilms_size(p), "encoder.layers=2"],
        ["encoder.model: .*/model has no tokenizer.json"],
    ),
    "a date that is none": (
        distill("teacher.names=2024-13-45"),
        ["teacher.names: the value '2024-13-45' holds a value that YAML cannot read: .*; put it in quotes"],
    ),
    "a search space to distil": (
        lambda p: ["distill", p.space, "-w", p.workspace],
        ["is a search space, not an experiment: retort sweep takes it"],
    ),
    "hardware searched": (
        lambda p: ["sweep", p.changed_space(search={"training.workers": [0, 2]}), "-w", p.workspace],
        ["search.training.workers: is about hardware"],
    ),
    "a workspace without a name": (lambda p: ["import", "synthetic", "-w", ""], ["the workspace has no name"]),
    "a workspace below a file": (
        lambda p: ["import", "synthetic", "-w", p.file("file", "") / "w"],
        ["workspace .* cannot be made: "],
    ),
    "a workspace of no format": (workspace_with("{}"), ["workspace.json does not say a workspace's format"]),
    "a workspace that is no JSON": (workspace_with("once"), ["workspace.json does not say a workspace's format"]),
    "a split called validate": (
        lambda p: [*p.topiocqa()[:5], "validate", *p.topiocqa()[6:]],
        ["a split cannot be called validate"],
    ),
    "topics nested too deeply": (
        lambda p: p.topiocqa(topics="[" + "[" * 100_000 + "]" * 100_000 + "]"),
        ["topics.json:1: "],
    ),
    "fp16 without a GPU": (distill("training.precision=fp16"), ["training.precision: fp16 needs a GPU"]),
    "wrong column order": (
        lambda p: p.topiocqa(collection="id\ttitle\ttext\n1\tRome\tRome is old.\n"),
        ["collection.tsv:1: .*id.*text.*title"],
    ),
    "invalid UTF-8": (
        lambda p: p.topiocqa(collection=COLLECTION.encode() + b"2\t\xff\xfe\tx\n"),
        ["collection.tsv:3: is not UTF-8"],
    ),
    "empty file": (lambda p: p.topiocqa(topics=""), ["topics.json: is empty"]),
    "empty collection": (lambda p: p.topiocqa(collection=""), ["collection.tsv"]),
    "duplicate doc_id": (
        lambda p: p.topiocqa(collection=COLLECTION + "1\tRome is big.\tRome\n"),
        ["collection.tsv:3: doc_id '1' is on line 2 already"],
    ),
    "another text": (
        same_id_with_another_text,
        ["collection.tsv:3: doc_id 'twin-0' is in the workspace with other content"],
    ),
    "rewrite of an unknown turn": (
        rewrites_of("nobody_1"),
        ["rewrites.jsonl:1: the split 'train' has no turn 'nobody_1'"],
    ),
    "no objectives": (
        lambda p: ["sweep", p.changed_space(without="objectives"), "-w", p.workspace],
        ["space.yaml: objectives: is missing"],
    ),
    "nothing to choose on": (
        lambda p: ["sweep", p.changed_space(corpus={"validate": None}), "-w", p.workspace],
        ["space.yaml: corpus.validate: is null"],
    ),
    "a choice out of bounds": (
        lambda p: ["sweep", p.changed_space(search={"objective.contrastive_weight": [0.1, 1.5]}), "-w", p.workspace],
        ["space.yaml: search.objective.contrastive_weight=1.5: "],
    ),
    "unknown run": (lambda p: ["evaluate", "best", "--split", "dev", "-w", p.workspace], ["no run 'best'; runs: none"]),
    "baseline without a collection": (
        lambda p: ["evaluate", "baseline:last", "--split", "dev", "-w", p.workspace],
        ["has no prepared experiment whose encoder a baseline could use"],
    ),
    "an engine among the settings": (
        lambda p: ["evaluate", "baseline:last", "--split", "dev", "-w", p.workspace, "evaluation.engine=lucene"],
        ["evaluation.engine is an option here: --engine lucene"],
    ),
    "an option of another report": (
        lambda p: ["report", "pareto", "--sure", "--split", "test", "-w", p.workspace],
        ["--split, --sure: a report on one sweep has no such option; see retort report --help"],
    ),
    "unknown run to export": (lambda p: ["export", "best", p.folder / "out", "-w", p.workspace], ["no run 'best'"]),
    "unknown sweep": (lambda p: ["front", "pareto", "-w", p.workspace], ["no sweep 'pareto': none; run one first"]),
    "unknown turn": (lambda p: ["show", "turn", "nobody_1", "-w", p.workspace], ["nobody_1"]),
    "unknown runs to compare": (lambda p: ["compare", "a", "b", "-w", p.workspace], ["no run 'a'"]),
    "synthetic, too small": (
        lambda p: ["import", "synthetic", "-w", p.workspace, "entities=3"],
        ["command line: entities: .*got 3"],
    ),
    "synthetic, otherwise": (
        lambda p: ["import", "synthetic", "-w", p.workspace, "conversations=41", "entities=60"],
        ["already holds other judgements under the split 'train'; nothing was overwritten"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_of_and_nothing_is_started(case, place, retort, listing):
    words, expected = BAD[case]
    given = words(place)
    before = listing(place.workspace.parent)
    done = retort(*given)
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert len(lines) == len(expected)
    for line in lines:
        assert line.startswith("error: ")
    for pattern in expected:
        assert [line for line in lines if re.search(pattern, line)], f"{pattern!r} is in none of {lines}"
    assert listing(place.workspace.parent) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distil"], "No such command 'distil'"),
        (["distill"], "Missing argument"),
        (["distill", "e.yaml"], "Missing option '--workspace'"),
        (["evaluate", "x", "-w", "w"], "Missing option '--split'"),
        (["sweep", "s.yaml", "-w", "w", "--trials", "0"], "greater than or equal to 1"),
        (["front", "x", "-w", "w", "--jsn"], "No such option"),
        (["import", "nothing"], "No such command 'nothing'"),
    ],
)
def test_a_word_that_is_wrong_is_one_line(words, message, retort):
    done = retort(*words)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ") and message in line and line.endswith("See --help.")


@pytest.mark.parametrize("words", [[], ["import"], ["rewrites"], ["show"]])
def test_without_a_command_the_help_is_shown(words, retort):
    done = retort(*words)
    assert done.code == 2 and "Usage: retort" in done.err and "Commands:" in done.err


def test_an_experiments_failure_is_exit_code_1(prepared_copy, experiment_file, retort):
    done = retort("distill", experiment_file, "-w", prepared_copy, "training.learning_rate=1e30", "training.epochs=2")
    assert (done.code, done.out) == (1, "")
    last = done.err.splitlines()[-1]
    assert last.startswith("failed: the loss of step ") and "lower training.learning_rate" in last


def test_json_is_one_document_with_what_is_promised(evaluated_path, experiment_file, tmp_path, retort):
    workspace = Path(shutil.copytree(evaluated_path, tmp_path / "workspace"))
    distilled = retort("distill", experiment_file, "-w", workspace, "--json", "training.epochs=2")
    assert distilled.code == 0 and distilled.json()["reused"] is True
    run = distilled.json()["run"]
    assert (workspace / "runs" / run / "record.json").is_file()
    for name in (run, run[:-4], "baseline:last"):
        measured = retort("evaluate", name, "-w", workspace, "--split", "dev", "--json").json()
        assert set(measured) >= MEASURES | {"by_turn"}
        assert all(set(group) >= MEASURES for group in measured["by_turn"].values())
    with pytest.raises(ValueError, match="Expecting value"):
        retort("evaluate", run, "-w", workspace, "--split", "dev").json()  # a table without --json
    rows = retort("compare", run, "baseline:last", "-w", workspace, "--json")
    assert rows.code == 0 and rows.json()


def test_a_run_is_evaluated_as_deep_as_its_experiment_says(evaluated_path, experiment, retort):
    depths = {
        json.loads(record.read_text())["config"]["top_k"]
        for pattern in ("runs/*/evaluations/*/record.json", "baselines/*/*/record.json")
        for record in evaluated_path.glob(pattern)
    }
    assert depths == {experiment.evaluation.top_k}


def test_a_run_is_exported_once(evaluated_path, tmp_path, retort):
    (run,) = [path.name for path in (evaluated_path / "runs").iterdir()]
    target = tmp_path / "student"
    assert retort("export", run, target, "-w", evaluated_path).code == 0
    assert (target / "retort.json").is_file() and (target / "tokenizer.json").is_file()
    again = retort("export", run, target, "-w", evaluated_path)
    assert again.code == 2 and "exists already; nothing was overwritten" in again.err


def test_importing_the_same_again_changes_nothing(imported_copy, retort, listing):
    before = listing(imported_copy)
    again = retort(
        "import", "synthetic", "-w", imported_copy, "conversations=40", "dev_conversations=10", "entities=60"
    )
    assert again.code == 0 and again.out.count("there already") == 2
    assert listing(imported_copy) == before


def test_graded_judgements_are_relevant_from_where_it_was_said(tmp_path, retort):
    for name, content in {
        "collection.tsv": "7\tRome is old.\n8\tRome is a city.\n",
        "queries.tsv": "1\tHow old is Rome?\n",
        "qrels.tsv": "1 0 7 2\n1 0 8 1\n",
    }.items():
        (tmp_path / name).write_text(content)
    files = [tmp_path / "collection.tsv", "--queries", tmp_path / "queries.tsv", "--qrels", tmp_path / "qrels.tsv"]
    words = ["import", "msmarco", *files, "--split", "dl19", "-w", tmp_path / "w", "--json"]
    report = retort(*words, "--relevant-from", "2").json()
    assert (report["judgements"], report["positives_per_turn"], report["rewrites"]) == (2, 1.0, {})
    shown = retort("show", "qrels", "dl19", "-w", tmp_path / "w", "--json").json()
    assert (shown["relevant_from"], shown["judgements"]) == (2, {"1": {"7": 2, "8": 1}})
    other = retort(*words)  # the same files, relevant from 1 on: another split
    assert other.code == 2 and "already holds other judgements under the split 'dl19'" in other.err


def commands(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(below := getattr(command, "commands", None), dict):
        for name, child in below.items():
            yield from commands(child, (*words, name))
    else:
        yield words


COMMANDS = sorted(commands(typer.main.get_command(app)))


def test_the_help_lists_every_command_whole_and_in_the_order_of_the_work(retort, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = retort("--help").out.partition("Commands:\n")[2].rstrip().splitlines()
    listed = [line.split()[0] for line in lines]
    assert listed == [
        "fetch",
        "import",
        "rewrites",
        "rankings",
        "prepare",
        "distill",
        "evaluate",
        "sweep",
        "front",
        "report",
        "compare",
        "latency",
        "search",
        "export",
        "ui",
        "show",
        "verify",
    ]
    assert all(len(line) <= 80 and line.endswith(".") and not line.endswith("...") for line in lines)


@pytest.mark.parametrize("group", ["import", "rewrites", "rankings", "show"])
def test_a_groups_help_lists_its_commands_whole(group, retort, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = retort(group, "--help").out.partition("Commands:\n")[2].rstrip().splitlines()
    assert lines and all(re.fullmatch(r"  \S+ .*[^.]\.", line) for line in lines)


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        ("evaluate", "--engine <exact|lucene>"),
        ("latency", "--engine <list[exact|lucene]>"),
        ("export", "--format <sentence-transformers|pyserini>"),
        ("compare", "--format <terminal|markdown|latex|csv|json>"),
        ("rankings add", "--format <trec|disco>"),
        ("rewrites generate", "--backend <endpoint|hf|vllm>"),
        ("rewrites generate", "--precision <auto|fp32|bf16|fp16>"),
        ("rewrites generate", "--limit-name <max_tokens|max_completion_tokens>"),
        ("import cast", "--canonical <manual|automatic|none>"),
    ],
)
def test_what_can_be_chosen_from_is_shown(words, choices, retort):
    assert choices in " ".join(retort(*words.split(), "--help").out.split())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_commands_help_has_an_example(words, retort):
    done = retort(*words, "--help")
    assert done.code == 0
    assert f"Example: retort {' '.join(words)} " in " ".join(done.out.split())


LARGE = ("torch", "transformers", "ray", "mlflow", "sentence_transformers", "optuna", "plotly", "matplotlib")
# The command -> its exit code. EXPERIMENT, RUN and SPACE stand for what is there.
AT_ONCE = {
    "--help": 0,
    "sweep --help": 0,
    "distill none.yaml": 2,
    "sweep none.yaml": 2,
    "compare nosuchrun": 2,
    "compare RUN baseline:last --split dve": 2,
    "evaluate nosuch --split dev": 2,
    "evaluate RUN --split dve": 2,
    "front nosuch": 2,
    "export RUN .": 2,
    "latency nosuch": 2,
    "search nosuch": 2,
    "prepare EXPERIMENT": 0,
    "distill EXPERIMENT training.epochs=2": 0,
    "evaluate RUN --split dev": 0,
    "evaluate RUN --split validate": 0,
    "evaluate baseline:rewrite:synthetic --split dev": 0,
    "sweep SPACE": 0,
    "front smoke": 0,
}


@pytest.fixture(scope="module")
def finished_path(evaluated_path: Path, smoke_space: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evaluated workspace with a sweep that has ended; of its one trial nothing but the run is real."""
    path = Path(shutil.copytree(evaluated_path, tmp_path_factory.mktemp("finished") / "workspace"))
    workspace, space = Workspace(path), load_space(smoke_space, trials=1)
    measures = {"R@100": 0.5, "FLOPS": 2.0}
    (run,) = list_runs(workspace)
    point = TrialPoint(run, "0000", {"sampling.count": 8}, measures, on_front=True)
    folder = sweep_folder(workspace, space)
    config = space.identity() | {"trials": 1, "reference": None}
    with folder.writing("sweep", 1, config=config, inputs={}, keep_parts=True) as writer:
        writer.add(write_description(folder, space.description()), write_trial(folder, point))
        writer.add(write_front(replace(read_sweep(folder), points=(point,), ended=True)))
        writer.counts |= {"trials": 1}
    return path


@pytest.mark.parametrize("command", AT_ONCE)
def test_mistakes_and_what_is_there_already_need_none_of_the_large_libraries(
    command, finished_path, experiment_file, smoke_space, environment
):
    (run,) = list_runs(Workspace(finished_path))
    stand = {"EXPERIMENT": str(experiment_file), "RUN": run, "SPACE": str(smoke_space)}
    words = [stand.get(word, word) for word in command.split()]
    words += [] if "--help" in words else ["-w", str(finished_path)]
    words += ["--trials", "1"] if command == "sweep SPACE" else []
    program = (
        "import sys\nfrom retort.cli import main\n"
        f"code = main({words!r})\n"
        f"sys.stdout.write('\\n' + repr((code, [name for name in {LARGE!r} if name in sys.modules])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        timeout=patience(60),
    )
    assert done.stdout.splitlines()[-1] == repr((AT_ONCE[command], [])), done.stderr


def test_a_run_that_mlflow_lost_is_logged_again(evaluated_path, experiment_file, tmp_path, retort):
    workspace = Workspace(shutil.copytree(evaluated_path, tmp_path / "workspace"))
    (run,) = list_runs(workspace)
    tags = distilled_tags(workspace, run)
    uri = default_tracking_uri(workspace)
    assert surely_logged(uri, "retort", tags=tags)
    assert not surely_logged(uri, "another", tags=tags) and not surely_logged("http://nowhere", "retort", tags=tags)
    assert not surely_logged(uri, "retort", tags=tags | {"retort.kind": "trial"})
    tracker = MlflowTracker(uri, "retort")
    for logged in tracker.find(tags=tags):
        tracker.discard(logged.run_id)
    assert not surely_logged(uri, "retort", tags=tags)
    assert retort("distill", experiment_file, "-w", workspace.root, "training.epochs=2").code == 0
    assert surely_logged(uri, "retort", tags=tags) and len(tracker.find(tags=tags)) == 1
    Path(workspace.root, "mlflow.db").write_bytes(b"")  # tables that are not known
    assert not surely_logged(uri, "retort", tags=tags)


def test_the_version_is_told(retort):
    done = retort("--version")
    assert (done.code, done.out) == (0, f"retort {importlib.metadata.version('retort')}\n")
