"""What an experiment is called and known by: the same as in every released version."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from retort.config import experiment_from, run_label, shipped_spaces, with_overrides
from retort.identity import fingerprint
from retort.search.space import load_space

# Labels and fingerprints as version 0.1.0 gave them, over nothing, over each search space's experiment and over its variants.
PINNED = json.loads((Path(__file__).parents[1] / "assets" / "identities-0.1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bases():
    files = {name: file for name, file in shipped_spaces().items() if not name.startswith("profiles/")}
    return {None: {}} | {name: load_space(file).base for name, file in files.items()}


def test_every_search_space_is_pinned(bases):
    assert {pin["space"] for pin in PINNED} == bases.keys()


@pytest.mark.parametrize("pin", PINNED, ids=lambda pin: f"{pin['space']} {json.dumps(pin['settings'])}"[:80])
def test_labels_and_fingerprints_are_as_released(pin, bases):
    experiment = experiment_from(with_overrides(bases[pin["space"]], pin["settings"]))
    assert run_label(experiment) == pin["label"]
    assert fingerprint("run", 1, config=experiment.training_identity(), inputs={}) == pin["identity"]


@pytest.mark.parametrize("module", ["config", "shards.prepare", "distill.identity", "distill.trainer"])
def test_a_finished_run_is_found_without_a_training_stack(module):
    heavy = "('torch', 'transformers', 'numba', 'scipy', 'ray', 'mlflow', 'optuna', 'ir_measures')"
    code = f"import sys, retort.{module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
