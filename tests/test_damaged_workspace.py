"""Any file of a workspace is damaged, and every command that reads it says so: no other figures, and no traceback."""

import itertools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from retort.progress import silent
from retort.storage import Workspace
from retort.storage.verify import verify_workspace

ASSET = Path(__file__).parent / "assets" / "workspace-0.1" / "workspace"
RUN = sorted(path.name for path in (ASSET / "runs").iterdir() if "synthetic" in path.name)[0]
DROPPED = "front.html"  # of the asset, see its made.sh
QUESTION = ("dev", "50_1")

# What reads the files below a folder, each without writing into the next one's way.
READERS = {
    "passages": [["show", "turn", "{turn}"]],
    "turns": [["show", "turn", "{turn}"], ["evaluate", RUN, "--split", "dev", "evaluation.top_k=150"]],
    "judgements": [["show", "turn", "{turn}"], ["evaluate", RUN, "--split", "dev", "evaluation.top_k=150"]],
    "rewrites": [["show", "turn", "{turn}"]],
    "vectors": [["evaluate", RUN, "--split", "dev", "evaluation.top_k=150"]],
    "indexes": [["evaluate", RUN, "--split", "dev", "evaluation.top_k=150"]],
    "training": [["distill", "{run}/experiment.yaml", "training.seed=7", "training.epochs=1"]],
    "runs": [
        ["evaluate", RUN, "--split", "dev", "evaluation.top_k=150"],
        ["compare", "grid#1", "grid#2", "baseline:last"],
    ],
    "baselines": [["compare", "grid#1", "grid#2", "baseline:last"]],
    "sweeps": [["front", "grid"], ["compare", "grid#1", "grid#2"]],
}


def zero_a_quarter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    size = max(1, len(content) // 4)
    start = len(content) // 2
    content[start : start + size] = bytes(len(content[start : start + size]))
    path.write_bytes(content)


def halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = {"zeros": zero_a_quarter, "half": halve, "empty": empty}
FILES = sorted(
    str(path.relative_to(ASSET))
    for path in ASSET.rglob("*")
    if path.is_file() and path.relative_to(ASSET).parts[0] in READERS
)


def _sample() -> list[tuple[str, str]]:
    """One file of each kind, with one kind of damage; all of them where RETORT_DAMAGE=all."""
    if os.environ.get("RETORT_DAMAGE") == "all":
        return [(file, damage) for file in FILES for damage in DAMAGES]
    chooser, kinds = random.Random(14), {}
    for file in FILES:
        first, _, rest = file.partition("/")
        kinds.setdefault(
            (first, "evaluations" in rest, Path(file).suffix, Path(file).name == "record.json"), []
        ).append(file)
    return [(chooser.choice(files), chooser.choice(sorted(DAMAGES))) for files in kinds.values()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ASSET, tmp_path / "workspace"))


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


@pytest.fixture(scope="module")
def turn() -> str:
    from retort.corpora.turns import read_turns

    return read_turns(Workspace(ASSET), "dev")[0].query_id


def _said(retort: Callable, words: list[str], path: Path, turn: str) -> tuple[int, str, str]:
    filled = [word.format(turn=turn, run=ASSET / "runs" / RUN) for word in words]
    done = retort(*filled, "-w", path, "--json")
    text = done.out.replace(str(path), "W")
    return done.code, "\n".join(line for line in text.splitlines() if "seconds" not in line), done.err


@pytest.fixture(scope="module")
def healthy(retort: Callable, turn: str, tracking: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands print where nothing is damaged."""
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", tracking)
        for words in {" ".join(words): words for each in READERS.values() for words in each}.values():
            path = Path(shutil.copytree(ASSET, tmp_path_factory.mktemp("healthy") / "workspace"))
            code, out, err = _said(retort, words, path, turn)
            assert code == 0, err
            said[" ".join(words)] = out
    return said


@pytest.mark.parametrize(("file", "damage"), _sample())
def test_no_figure_comes_of_a_damaged_file(
    retort: Callable, path: Path, turn: str, healthy: dict, monkeypatch: pytest.MonkeyPatch, tracking: str, file, damage
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    DAMAGES[damage](path / file)
    for words in READERS[file.partition("/")[0]]:
        code, out, err = _said(retort, words, path, turn)
        if code == 0:  # the command does not need the file
            assert out == healthy[" ".join(words)]
        else:
            assert code == 2, err
            assert (str(path / file) in err and "damaged" in err) or "checksum" in err or "bytes" in err, err
            assert "Traceback" not in err and "interrupted" not in err


def test_verify_finds_every_damaged_file(path: Path) -> None:
    workspace, kinds = Workspace(path), itertools.cycle(DAMAGES.values())
    for file in FILES:
        whole = (path / file).read_bytes()
        next(kinds)(path / file)
        found = verify_workspace(workspace, [_stage_of(path, file)], silent).damaged
        problems = {f"{one.stage}/{name}" for one in found for name in one.problems}
        assert {name for name in problems if not name.endswith(DROPPED)} == {file}
        (path / file).write_bytes(whole)


def _stage_of(path: Path, file: str) -> str:
    folder = (path / file).parent
    while not (folder / "record.json").exists():
        folder = folder.parent
    return str(folder.relative_to(path))


def test_verify_tells_what_depends_on_a_damaged_stage_and_how_it_is_made_again(retort: Callable, path: Path) -> None:
    vectors = next(path.glob("vectors/lexical-*"))
    zero_a_quarter(vectors / "tie_places.npy")
    done = retort("verify", "vectors", "-w", path)
    assert done.code == 1
    assert "stages are damaged" in done.out
    assert f"{vectors.relative_to(path)}\n  tie_places.npy has the checksum" in done.out
    made = next(line for line in done.out.splitlines() if line.startswith("  made from it: "))
    assert all(f"{kind}/" in made for kind in ("indexes", "rankings", "training", "runs", "baselines"))
    assert (
        f"remove {vectors}, and run what needs it again: retort prepare EXPERIMENT.yaml --workspace {path}" in done.out
    )

    document = retort("verify", "vectors", "-w", path, "--json").json()
    assert [one["stage"] for one in document["damaged"]] == [str(vectors.relative_to(path))]


def test_verify_says_that_all_is_well_and_what_is_unknown(retort: Callable, path: Path) -> None:
    done = retort("verify", "passages", "turns", "-w", path)
    assert done.code == 0
    assert done.out.endswith("all of them are what was recorded\n")
    unknown = retort("verify", "vector", "-w", path)
    assert unknown.code == 2
    assert "has no finished stage 'vector'; there are stages of: baselines, indexes" in unknown.err
