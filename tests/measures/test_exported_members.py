"""The package offers what its modules offer, and nothing else."""

import subprocess
import sys
from importlib import import_module

import retort.measures

MODULES = ["pareto", "ranking", "significance", "sparsity"]


def test_all_is_sorted_and_complete():
    offered = {name for module in MODULES for name in import_module(f"retort.measures.{module}").__all__}

    assert retort.measures.__all__ == sorted(offered)
    assert all(hasattr(retort.measures, name) for name in retort.measures.__all__)


def test_the_measures_need_no_training_stack():
    code = "import sys, retort.measures; print([name for name in ('ray', 'mlflow', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
