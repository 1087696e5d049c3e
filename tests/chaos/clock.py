"""A driver's own wall clock, which jumps on command; needs a C compiler, which Retort needs anyway."""

import shutil
import struct
import subprocess
from pathlib import Path

__all__ = ["LIBRARY", "Clock", "build"]

SOURCE = Path(__file__).with_name("clock.c")
LIBRARY = "clock.so"


def build(folder: Path) -> Path | None:
    """Compile the library; None where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    library = folder / LIBRARY
    subprocess.run([compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class Clock:
    """The clock of one driver.

    Args:
        library: As :func:`build` made it.
        file: Where its offset is kept.
    """

    def __init__(self, library: Path, file: Path) -> None:
        self.library, self.file = library, file
        self.move(0)

    def move(self, seconds: int) -> None:
        """Let it be so many seconds fast from now on."""
        # In place: the driver has mapped the file.
        with self.file.open("r+b" if self.file.exists() else "wb") as stream:
            stream.write(struct.pack("=q", seconds))

    @property
    def variables(self) -> dict[str, str]:
        """What a process's environment must have to go by it."""
        return {"LD_PRELOAD": str(self.library), "RETORT_CHAOS_CLOCK": str(self.file)}
