"""Which commit of Retort's own repository runs, for whoever wants to run the same again."""

import subprocess
from functools import lru_cache
from pathlib import Path

__all__ = ["source_commit"]


@lru_cache(maxsize=1)
def source_commit(package: Path = Path(__file__).parents[1]) -> str | None:
    """The commit that is checked out, with ``-dirty`` where tracked files differ from it; None where this is no checkout.

    An installed package may lie inside some other project's repository: only one that tracks the package itself counts.
    """

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(package), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None  # no git: nothing is known
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "errors.py") is None:
        return None
    commit = git("rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
