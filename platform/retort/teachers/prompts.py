"""Prompts: files that say what a teacher is asked, and how a turn is put into one.

A prompt is a YAML file (the package's own lie in ``prompts/``) or a plain text. Its fingerprint covers everything that
the model gets to see and how its answer is read, not the file's name or comments: two spellings of one prompt are one.

Keys: ``user`` with the places ``{question}``, ``{history}``, ``{dialogue}`` (history and question in one); ``system``;
``messages: lines`` (``User: ...`` and ``Agent: ...``, one a line) or ``bars`` (utterances alone, joined with `` ||| ``);
``answer: text`` (all of it) or ``labelled`` (the lines that begin with one of ``labels``, put together).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from retort.config import parse_yaml, validated
from retort.config.base import Settings
from retort.errors import ConfigError
from retort.identity import fingerprint
from retort.records import Message, Turn

__all__ = ["Ask", "Prompt", "ask_for", "load_prompt", "prompt_names", "rewrite_in"]

VERSION: Final = 1  # bumped when the same file makes another text, or an answer is read otherwise
FIRST: Final = "(there is none: this is the first question)"
BARS: Final = " ||| "
PLACES: Final = re.compile(r"\{(question|history|dialogue)\}")
SPEAKERS: Final = {"user": "User", "agent": "Agent"}


class _PromptFile(Settings):
    """The keys that a prompt's file may hold."""

    about: str = ""
    system: str | None = Field(default=None, min_length=1)
    user: str = Field(min_length=1)
    messages: Literal["lines", "bars"] = "lines"
    answer: Literal["text", "labelled"] = "text"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, read and checked.

    Attributes:
        name: Name of the package's prompt, or of the file.
        system: The system message, where there is one.
        user: The user message, with its places.
        messages: How utterances are put into it.
        labels: Labels of the answer's lines that make the rewrite; none: all of the answer does.
        fingerprint: 64 hexadecimal digits.
    """

    name: str
    system: str | None
    user: str
    messages: str
    labels: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Ask:
    """The messages that a model gets for one turn."""

    query_id: str
    system: str | None
    user: str

    @property
    def messages(self) -> list[dict[str, str]]:
        """As chat models take them, the system's first where there is one."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": self.user}]

    @property
    def one_message(self) -> str:
        """For models that know no system message: the user's, behind the system's where there is one."""
        return self.user if self.system is None else f"{self.system}\n\n{self.user}"


def prompt_names() -> list[str]:
    """The package's own prompts."""
    entries = files("retort.teachers").joinpath("prompts").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def load_prompt(name: str) -> Prompt:
    """A prompt of the package by name, or anybody's by the path of its file (``.yaml``, or text).

    Raises:
        ConfigError: If there is none, or it is no prompt; the message lists every problem.
    """
    if name in prompt_names():
        text = files("retort.teachers").joinpath("prompts", f"{name}.yaml").read_text(encoding="utf-8")
        return _parsed(name, text, source=f"prompt {name}", as_yaml=True)
    path = Path(name).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([f"prompt: {name} is not UTF-8; convert it, for example with iconv"]) from error
    except OSError as error:
        known = ", ".join(prompt_names())
        problem = f"prompt: {name!r} is none of {known}, and no file that can be read ({error.strerror or error})"
        raise ConfigError([problem]) from error
    return _parsed(path.stem, text, source=str(path), as_yaml=path.suffix in (".yaml", ".yml"))


def _parsed(name: str, text: str, *, source: str, as_yaml: bool) -> Prompt:
    try:
        data = parse_yaml(text) if as_yaml else {"user": text.strip()}
    except ValueError as error:
        raise ConfigError([str(error)], source=source) from error
    read = validated(_PromptFile, data, source=source)
    problems = []
    if not re.search(r"\{(question|dialogue)\}", read.user):
        problems.append("user: has neither {question} nor {dialogue}; the model would not see what is asked")
    if (read.answer == "labelled") != bool(read.labels):
        problems.append("labels: are what `answer: labelled` looks for; give both, or neither")
    if len({label.casefold() for label in read.labels}) < len(read.labels) or not all(read.labels):
        problems.append(f"labels: must differ and hold something, got {list(read.labels)}")
    if problems:
        raise ConfigError(problems, source=source)
    content = read.model_dump(mode="json", exclude={"about"})
    return Prompt(
        name,
        read.system,
        read.user,
        read.messages,
        read.labels,
        fingerprint("prompt", VERSION, config=content, inputs={}),
    )


def ask_for(turn: Turn, prompt: Prompt, *, newest: int | None = None) -> Ask:
    """A turn put into a prompt.

    Args:
        turn: The turn; its answer is never shown.
        prompt: The prompt.
        newest: How many of the newest messages of the history are shown; None: all.
    """
    shown = turn.history if newest is None else turn.history[len(turn.history) - min(newest, len(turn.history)) :]
    history = [message for message in shown if message.text.strip()]
    question = _one_line(turn.question)
    if prompt.messages == "bars":
        said = BARS.join(_one_line(message.text) for message in history)
        dialogue = BARS.join([*(_one_line(message.text) for message in history), question])
    else:
        said = _lines(history) or FIRST
        dialogue = _lines([*history, Message("user", turn.question)])
    values = {"question": question, "history": said, "dialogue": dialogue}
    # In one pass: a question that speaks of {history} is not filled in a second time.
    return Ask(turn.query_id, prompt.system, PLACES.sub(lambda place: values[place.group(1)], prompt.user))


def _lines(messages: Sequence[Message]) -> str:
    return "\n".join(f"{SPEAKERS[message.role]}: {_one_line(message.text)}" for message in messages)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def rewrite_in(answer: str, prompt: Prompt) -> tuple[str | None, str]:
    """Find the rewrite in a model's answer.

    Thoughts that a model puts between ``<think>`` tags in front of its answer are left out.

    Returns:
        The rewrite on one line and ``""``, or None and what is wrong with the answer.
    """
    text = re.sub(r"^\s*<think>.*?</think>", "", answer, flags=re.DOTALL)
    if text.lstrip().startswith("<think>"):
        return None, "the answer was cut off in the model's thoughts; raise --max-new-tokens"
    if not text.strip():
        return None, "the answer is empty"
    if not prompt.labels:
        return _one_line(text), ""
    names = "|".join(re.escape(label) for label in prompt.labels)
    # A label may stand in bold or behind a bullet, as models like to write it.
    pieces = re.split(rf"^[\W_]*({names})[*_ ]*:[*_ ]*", text, flags=re.MULTILINE | re.IGNORECASE)
    found = dict(zip((label.casefold() for label in pieces[1::2]), map(_one_line, pieces[2::2]), strict=True))
    if missing := [label for label in prompt.labels if not found.get(label.casefold())]:
        return None, f"the answer has no {' and no '.join(f'{label}: line' for label in missing)}"
    return " ".join(found[label.casefold()] for label in prompt.labels), ""
