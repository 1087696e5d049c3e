"""The layout that the package relies on: a source root that is no package, and floors that name every module."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "platform" / "retort"


def contract(kind):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (only,) = [found for found in settings["contracts"] if found["type"] == kind]
    return only


def top_level_modules():
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    return files | folders


def test_the_source_root_is_no_package():
    assert (ROOT / "platform").is_dir()
    assert not (ROOT / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("python_path", ["", ".", "platform"])
def test_the_standard_librarys_platform_is_what_the_repository_root_imports(python_path):
    # `python -c` puts the working directory first on the path: the very place where platform/ would shadow the module.
    code = "import platform; platform.python_version(); print(platform.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = python_path
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()

    assert Path(found).is_relative_to(sysconfig.get_path("stdlib"))


def test_the_floors_name_every_module_and_no_other():
    layers = contract("layers")
    named = [name.strip() for floor in layers["layers"] for name in floor.split("|")]
    modules = top_level_modules()

    assert modules
    assert layers["containers"] == ["retort"]
    assert layers["exhaustive"] is True
    assert len(named) == len(set(named))
    assert set(named) == modules


def test_the_training_stack_is_kept_out_of_modules_that_exist():
    forbidden = contract("forbidden")

    assert sorted(forbidden["forbidden_modules"]) == ["mlflow", "ray"]
    assert {name.removeprefix("retort.") for name in forbidden["source_modules"]} == {
        "config",
        "corpora",
        "identity",
        "measures",
        "records",
        "sparse",
        "teachers",
    }
    assert {name.removeprefix("retort.") for name in forbidden["source_modules"]} <= top_level_modules()


def test_every_folder_with_code_is_a_package():
    # setuptools and import-linter pass over a folder without __init__.py silently.
    folders = {path.parent for path in PACKAGE.rglob("*.py")}

    assert folders
    assert sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()) == []
