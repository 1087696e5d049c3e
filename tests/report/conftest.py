"""Tables as a terminal of 100 columns shows them; a sweep of plain values on disk; pages in a real browser."""

import html
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Picture
from matplotlib.image import imread
from tests.waiting import patience

from retort.report.render.table import Table
from retort.report.render.terminal import terminal_text
from retort.storage import Folder, Workspace
from retort.storage.layout import BASELINE, EVALUATION, RUN, SWEEP
from retort.sweeps.front import mark_front
from retort.sweeps.sweep import Sweep, write_description, write_front, write_trial
from retort.sweeps.trial import TrialPoint

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OBJECTIVES = {"R@100": "max", "FLOPS": "min"}
VARIANTS = {
    "no penalty at all": {"regularization.query": "none"},
    "expected FLOPS .03": {"regularization.query": "expected_flops", "regularization.query_weight": 0.03},
    "expected FLOPS .3 <b>": {"regularization.query": "expected_flops", "regularization.query_weight": 0.3},
}


@pytest.fixture
def terminal() -> Callable[..., str]:
    """Tables as a terminal of 100 columns shows them."""

    def shown(*tables: Table) -> str:
        return "\n\n".join(terminal_text(table, 100).plain for table in tables) + "\n"

    return shown


@pytest.fixture(scope="session")
def browse() -> Callable[..., tuple[object, list[str]]]:
    """Opens a page in headless Chromium without a network and runs a script in it.

    Returns its value, and what should not be: the console's lines and whatever else the page asked for.
    """
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")

    def run(page: Path, script: str, *, width: int, folder: Path) -> tuple[object, list[str]]:
        told = (
            '<script>addEventListener("load", () => setTimeout(async () => {'
            f"const value = await (async () => {{ {script} }})();"
            'const told = document.createElement("pre"); told.id = "told";'
            'const asked = performance.getEntriesByType("resource").map((one) => one.name);'
            "told.textContent = JSON.stringify([value, asked]); document.body.append(told); }, 500));</script></body>"
        )
        copy = folder / f"page-{width}.html"
        text = page.read_text(encoding="utf-8")
        copy.write_text(text.replace("</body></html>", f"{told}</html>"), encoding="utf-8")
        command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-extensions",
            f"--user-data-dir={folder / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            f"--window-size={width},900",
            "--virtual-time-budget=6000",
            "--dump-dom",
            copy.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=True)
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
        assert found, f"the script told nothing: {console}"
        value, asked = json.loads(html.unescape(found[1]))
        return value, [*console, *(f"asked for {name}" for name in asked)]

    return run


@pytest.fixture(scope="session")
def overlapping() -> Callable[[Picture], list[tuple[str, str]]]:
    """Pairs of the texts beside the points of a picture that lie on each other as matplotlib draws them."""

    def pairs(picture: Picture) -> list[tuple[str, str]]:
        picture.draw_without_rendering()
        boxes = [(text.get_text(), text.get_window_extent()) for axes in picture.axes for text in axes.texts]
        return [(a, b) for n, (a, box) in enumerate(boxes) for b, other in boxes[:n] if box.overlaps(other)]

    return pairs


@pytest.fixture(scope="session")
def pixels() -> Callable[[bytes], tuple[int, int, set[str]]]:
    """Width and height of a PNG, and the colours that occur in it."""

    def read(content: bytes) -> tuple[int, int, set[str]]:
        image = (imread(io.BytesIO(content))[..., :3] * 255).round().astype(np.int64)
        colours = np.unique(image @ [1 << 16, 1 << 8, 1])
        return image.shape[1], image.shape[0], {f"#{colour:06X}" for colour in colours}

    return read


def _points() -> list[TrialPoint]:
    """Twelve trials of three variants and a weight that costs recall and saves FLOPS, and one that failed."""
    points = []
    for number in range(12):
        variant, weight = list(VARIANTS)[number % 3], 10 ** (-4 + number / 4)
        recall, cost = 0.8 - 0.02 * number - 0.03 * (number % 3), 0.0 if number == 11 else 4 / 2**number
        ranking = {"R@100": recall, "R@10": recall / 1.5, "RR": recall / 2, "nDCG@3": recall / 3, "Judged@10": 0.1}
        measures = {"n": 73.0, **ranking, "FLOPS": cost, "L0": 30.0 / (1 + number)}
        points.append(
            TrialPoint(
                f"run-{number:02d}",
                f"{number:04d}",
                {"variant": variant, "objective.contrastive_weight": weight, "training.seed": number % 2},
                measures,
                seconds={"training": 12.4, "evaluation": 0.5, "step": 13.0, "overhead": 0.2},
            )
        )
    failed = {"variant": next(iter(VARIANTS)), "objective.contrastive_weight": 0.5, "training.seed": 0}
    points.append(
        TrialPoint(None, "0012", failed, {}, status="failed", error="RunError: <script>alert(1)</script> not finite")
    )
    return [
        replace(one, evaluation={**one.validation, "n": 234.0, "R@100": one.validation["R@100"] + 0.1})
        if one.on_front
        else one
        for one in mark_front(points, OBJECTIVES)
    ]


def write_evaluation(
    workspace: Workspace,
    parent: str,
    label: str,
    measures: Mapping[str, float],
    by_turn: Mapping[str, Mapping[str, float]],
    *,
    inputs: Mapping[str, str] | None = None,
    **config: object,
) -> Folder:
    """An evaluation of plain values; ``test_fixtures.py`` compares what it holds with what a real one does."""
    folder = workspace.folder(f"{parent}/{label}")
    given = {"split": "dev", "engine": "exact", "top_k": 100, **config}
    made_from = {"turns": "10", "judgements": "20", "vectors": "30", **(inputs or {})}
    with folder.writing("evaluation", 3, config=given, inputs=made_from) as writer:
        content = json.dumps({**measures, "by_turn": by_turn}).encode()
        writer.add(folder.write_bytes(EVALUATION.measures, content))
        writer.counts |= measures
    return folder


@pytest.fixture(scope="session")
def plain_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one ended sweep, ``plain-01``, its front and baselines evaluated on dev. Not to be written to."""
    workspace = Workspace(tmp_path_factory.mktemp("plain") / "workspace", create=True)
    points = _points()
    settings = {
        "search": {
            "variant": list(VARIANTS),
            "objective.contrastive_weight": {"low": 1e-4, "high": 1.0, "log": True, "step": None},
            "training.seed": [0, 1],
        },
        "variants": VARIANTS,
        "objectives": OBJECTIVES,
        "sampler": "tpe",
        "trials": 13,
        "concurrent": 2,
        "seed": 0,
        "start": [],
        "reference": None,
    }
    further = {"R@10": 0.4, "RR": 0.3, "nDCG@3": 0.2, "Judged@10": 0.1}
    baselines = {
        "baseline:context": {"n": 234, "R@100": 0.5, "FLOPS": 13.0, "L0": 66.0, **further},
        "baseline:rewrite:mistral": {"n": 234, "R@100": 0.85, "FLOPS": 3.9, "L0": 40.0, **further},
    }
    sweep = Sweep(
        folder=workspace.folder(SWEEP.folder("plain-01")),
        name="plain",
        points=tuple(points),
        trials=13,
        ended=True,
        base={"corpus": {"evaluate": "dev"}},
        settings=settings,
        hypervolume=0.25,
        reference={"R@100": 0.4, "FLOPS": 13.5},
        split="dev",
        baselines=baselines,
    )
    description = {"name": sweep.name, "base": sweep.base, "settings": settings}
    with sweep.folder.writing("sweep", 1, config={"trials": 13}, inputs={"passages": "ab12"}) as writer:
        writer.add(write_description(sweep.folder, description), write_front(sweep))
        writer.add(*(write_trial(sweep.folder, point) for point in points))
    measured = {RUN.evaluations(point.run): point.evaluation for point in points if point.run and point.evaluation}
    measured |= {BASELINE.evaluations(name): own for name, own in baselines.items()}
    for number, (parent, own) in enumerate(measured.items()):
        by_turn = {
            str(turn): {**own, "n": 30 if turn < 5 else 4, "R@100": own["R@100"] / turn, "L0": own["L0"] + turn}
            for turn in range(1, 8)
        }
        write_evaluation(workspace, parent, f"plain-dev-exact-{number:02d}", own, by_turn)
    return Path(workspace.root)


@pytest.fixture
def write_plain_evaluation() -> Callable[..., Folder]:
    return write_evaluation
