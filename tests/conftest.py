"""One small synthetic workspace, made through the command line and prepared once; whoever writes gets a copy.

It holds the generated corpus and, as a second part of the collection, passages with the same text as judged ones. Whatever
needs Ray asks for ``ray_session``, directly or not, and is marked ``ray`` by that: one local cluster serves all tests.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
import yaml
from tests.waiting import Started, wait_until

from retort.cli import main
from retort.config import ExperimentConfig, SearchSpaceConfig, load_experiment
from retort.storage import Workspace

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "search_spaces" / "smoke.yaml"
TWINS = 12  # judged passages of which the second part holds a copy

# A deadline tests the machine: what else runs on it decides. So does the check for inputs that are slow to make.
hypothesis.settings.register_profile("retort", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("retort")


@pytest.hookimpl(tryfirst=True)  # before markers are selected by -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "ray_session" in getattr(item, "fixturenames", ()):
            item.add_marker("ray")


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    def json(self) -> dict:
        return json.loads(self.out)


def _run(*words: object) -> Done:
    """``retort WORDS`` in this process; standard output and standard error are taken apart."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its time of change and size; lock files are empty and say nothing."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".lock" not in path.name and not path.name.endswith(".lock")
    }


def _kill_when(words: Sequence[object], seen: Callable[[], bool], *, seconds: float = 120.0) -> None:
    """Start ``retort WORDS`` as a process of its own and SIGKILL it as soon as ``seen``; what it had started dies too.

    Ray's processes end with their driver, some of them after a while: not beside the next one, which is to go on.
    """
    with Started() as started:
        process = started.start(
            [sys.executable, "-m", "retort.cli", *words],
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(seen, f"retort {words[0]}, until it can be killed", seconds=seconds, process=process)
        process.kill()


def _environment() -> dict[str, str]:
    dropped = {"RAY_ADDRESS", "MLFLOW_TRACKING_URI"}
    return {name: value for name, value in os.environ.items() if name not in dropped} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def retort() -> Callable[..., Done]:
    return _run


@pytest.fixture(scope="session")
def listing() -> Callable[[Path], dict[str, tuple[int, int]]]:
    return _listing


@pytest.fixture(scope="session")
def kill_when() -> Callable[..., None]:
    return _kill_when


@pytest.fixture
def started() -> Iterator[Started]:
    """Starts processes; all of them, and whatever they start, are ended when the test is over, whatever happened in it."""
    with Started() as processes:
        yield processes


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a process that a test starts: nobody's cluster, nobody's MLflow."""
    return _environment()


@pytest.fixture(scope="session")
def own_tracking() -> Iterator[None]:
    """MLflow keeps its runs in the workspace, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """One torch thread, as a sweep's actors on two processors have: sums come out the same."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ray_session(one_thread: None) -> Iterator[None]:
    """One local cluster with two processors for all tests."""
    from retort.shards.session import ensure_ray

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("OMP_NUM_THREADS", "1")
        ensure_ray(cpus=2)
        yield
        import ray

        ray.shutdown()


@pytest.fixture(scope="session")
def smoke_space() -> Path:
    return SMOKE


@pytest.fixture(scope="session")
def experiment_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke space's experiment alone."""
    settings = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
    experiment = {key: value for key, value in settings.items() if key not in SearchSpaceConfig.model_fields}
    path = tmp_path_factory.mktemp("experiment") / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def experiment(experiment_file: Path) -> ExperimentConfig:
    return load_experiment(experiment_file)


@pytest.fixture(scope="session")
def imported_path(tmp_path_factory: pytest.TempPathFactory, own_tracking: None) -> Path:
    """The corpus, nothing prepared. Not to be written to."""
    path = tmp_path_factory.mktemp("imported") / "workspace"
    made = _run("import", "synthetic", "-w", path, "conversations=40", "dev_conversations=10", "entities=60")
    assert made.code == 0, made.err
    _import_twins(path, tmp_path_factory.mktemp("twins"))
    return path


def _import_twins(path: Path, sources: Path) -> None:
    from retort.corpora.collection import passage_rows, read_passages
    from retort.corpora.turns import read_turns

    workspace = Workspace(path)
    wanted = list(dict.fromkeys(turn.positives[0] for turn in read_turns(workspace, "train")))[::5][:TWINS]
    assert len(wanted) == TWINS
    copied = read_passages(workspace, list(passage_rows(workspace, wanted).values()))
    # Another title and other spaces: it is still the same text.
    rows = [f"twin-{number}\t{p.text}\u0020\ttwin" for number, p in enumerate(copied)]
    collection, topics = sources / "collection.tsv", sources / "topics.json"
    collection.write_text("\n".join(["id\ttext\ttitle", *rows]) + "\n", encoding="utf-8")
    turn = {
        "conv_id": 1,
        "turn_id": 1,
        "question": "Which one?",
        "answers": [],
        "positive_ctxs": [{"passage_id": "twin-0"}],
    }
    topics.write_text(json.dumps([turn], indent=1), encoding="utf-8")
    made = _run("import", "topiocqa", topics, collection, "--split", "twins", "-w", path)
    assert made.code == 0, made.err


@pytest.fixture(scope="session")
def prepared_path(
    imported_path: Path, experiment_file: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None
) -> Path:
    """The corpus, prepared for the smoke experiment. Not to be written to."""
    path = tmp_path_factory.mktemp("prepared") / "workspace"
    shutil.copytree(imported_path, path)
    done = _run("prepare", experiment_file, "-w", path)
    assert done.code == 0, done.err
    return path


@pytest.fixture(scope="session")
def evaluated_path(prepared_path: Path, experiment_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one run, evaluated on dev and on the held-out turns, and the baselines. Not to be written to."""
    path = tmp_path_factory.mktemp("evaluated") / "workspace"
    shutil.copytree(prepared_path, path)
    done = _run("distill", experiment_file, "-w", path, "--json", "training.epochs=2")
    assert done.code == 0, done.err
    run = done.json()["run"]
    for name in (run, "baseline:context", "baseline:last", "baseline:rewrite:synthetic"):
        for split in ("dev", "validate"):
            measured = _run("evaluate", name, "-w", path, "--split", split)
            assert measured.code == 0, measured.err
    return path


@pytest.fixture(scope="session")
def sweep_here(ray_session: None) -> Callable[[Path, Path], Done]:
    """``retort sweep SPACE --json``, but the trials run in this process: each of Tune's actors starts for ten seconds.

    What a trial returns is written as the sweep writes it, and ``--resume`` does the rest: front, evaluations, tracking.
    """
    from retort.search.following import finished_point
    from retort.search.space import load_space
    from retort.search.sweep import sweep_folder
    from retort.search.trial import Opened, run_trial
    from retort.sweeps.sweep import write_trial

    def swept(path: Path, space_file: Path) -> Done:
        workspace, space = Workspace(path), load_space(space_file)
        opened, folder = Opened(workspace), sweep_folder(workspace, space)
        for number, config in enumerate(space.first_points()):
            began = time.monotonic()
            result = run_trial(opened, space, config)
            write_trial(folder, finished_point(f"{number:04d}", config, result, time.monotonic() - began))
        return _run("sweep", space_file, "-w", path, "--resume", "--json")

    return swept


@pytest.fixture
def imported_copy(imported_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(imported_path, tmp_path / "workspace"))


@pytest.fixture
def prepared_copy(prepared_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared_path, tmp_path / "workspace"))
