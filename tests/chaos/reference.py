"""The undisturbed workspaces that every round is compared with: made once for a state of the package, and kept."""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.scene import EXPERIMENT, GROUPS, ROOT, SPACE, Scene
from tests.chaos.services import BUCKET
from tests.chaos.verdict import Contents, read
from tests.chaos.work import submit

__all__ = ["CORPUS", "Reference", "command", "digest_of_package", "job_words", "made", "place", "remove"]

CORPUS = ("import", "synthetic", "conversations=40", "dev_conversations=10", "entities=60")
DISTIL = ("distill", "EXPERIMENT", "objective.contrastive_weight=0.05")
EVALUATE = ("evaluate", "baseline:last", "--split", "dev")
WORKSPACE = "workspace"  # the last part of every workspace's name, which the names of evaluations contain


@dataclass(frozen=True)
class Reference:
    """Undisturbed workspaces by name, as folders.

    Attributes:
        folder: Holds a folder for each of ``names``.
        names: ``imported``, ``prepared``, ``swept``, ``swept2`` (on two Train workers), ``distilled``, ``evaluated``.
    """

    folder: Path

    def contents(self, name: str) -> Contents:
        """The files of one."""
        return read(str(self.path(name)))

    def path(self, name: str) -> Path:
        """The folder of one."""
        return self.folder / name / WORKSPACE

    def copy(self, name: str | None, target: str, scene: Scene) -> None:
        """Put a copy of one where a round begins; None: nothing."""
        if name is None:
            return
        if not target.startswith("s3://"):
            shutil.copytree(self.path(name), target, ignore=shutil.ignore_patterns(".locks"))
            return
        prefix, client = target.removeprefix(f"s3://{BUCKET}/"), scene.store.client()
        for file, content in self.contents(name).items():
            if not file.startswith(".locks/"):
                client.put_object(Bucket=BUCKET, Key=f"{prefix}/{file}", Body=content)


def place(scene: Scene, name: str, *, remote: bool) -> str:
    """Where a round's workspace is."""
    return f"s3://{BUCKET}/{name}/{WORKSPACE}" if remote else str(scene.disk / name / WORKSPACE)


def digest_of_package() -> str:
    """What the reference depends on: the package's source, and what is searched."""
    digest = hashlib.sha256(json.dumps([EXPERIMENT, SPACE, GROUPS, CORPUS, DISTIL, EVALUATE]).encode())
    for path in sorted((ROOT / "platform").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def command(words: tuple[str, ...], scene: Scene, workspace: str) -> list[str]:
    """A command's words for a workspace."""
    return [str(scene.job / "experiment.yaml") if word == "EXPERIMENT" else word for word in words] + ["-w", workspace]


def made(scene: Scene, out: Path, *, workers: bool) -> Reference:
    """Make what is missing of the reference.

    Args:
        scene: Where, with nothing disturbed.
        out: Where references are kept, by the digest of what they depend on.
        workers: Make the one on two Train workers too.
    """
    reference = Reference(out / f"reference-{digest_of_package()}")
    steps: list[tuple[str, str | None]] = [("imported", None), ("swept", "imported"), ("prepared", "swept")]
    steps += [("swept2", "prepared")] if workers else []
    steps += [("distilled", "prepared"), ("evaluated", "prepared")]
    for name, before in steps:
        if reference.path(name).exists():
            continue
        began = time.monotonic()
        target = place(scene, f"reference-{name}", remote=False)
        reference.copy(before, target, scene)
        if name == "prepared":  # what a sweep prepares before its trials is what `retort prepare` makes
            for folder in ("runs", "sweeps", "baselines"):
                shutil.rmtree(Path(target, folder))
        else:
            _work(name, scene, target)
        aside = reference.folder / f".{name}"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(Path(target).parent, aside)
        aside.rename(reference.folder / name)
        shutil.rmtree(Path(target).parent)
        print(f"reference: {name} in {time.monotonic() - began:.0f} s", flush=True)
    return reference


def _work(name: str, scene: Scene, target: str) -> None:
    commands = {"imported": CORPUS, "distilled": DISTIL, "evaluated": EVALUATE}
    if name in commands:
        scene.warm.begin(command(commands[name], scene, target))
        if code := scene.warm.wait():
            raise RuntimeError(f"undisturbed, and still exit status {code}: {scene.warm.printed()}")
        return
    script, words = job_words(name, target)
    job = submit(scene, script, words)
    while not job.ended():
        time.sleep(0.3)
    if not job.succeeded():
        raise RuntimeError(f"undisturbed, and still {job.status()}: {job.log()[-4000:]}")


def job_words(name: str, target: str) -> tuple[str, list[str]]:
    """Entry point and arguments of the job that makes ``prepared``, ``swept`` or ``swept2``."""
    if name == "prepared":
        return "jobs/prepare_shards.py", ["experiment.yaml", "--workspace", target]
    space, concurrent = ("groups.yaml", "1") if name == "swept2" else ("space.yaml", "2")
    return "jobs/run_sweep.py", [space, "--workspace", target, "--concurrent", concurrent]


def remove(scene: Scene, target: str) -> None:
    """Remove a round's workspace."""
    if not target.startswith("s3://"):
        shutil.rmtree(Path(target).parent, ignore_errors=True)
        return
    client, prefix = scene.store.client(), target.removeprefix(f"s3://{BUCKET}/")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for entry in page.get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])
