"""``retort``: the command line. Parse, load, call, print; everything slow is imported by the command that needs it.

Exit codes: 0 done, 1 something failed while running, 2 the input or the configuration is wrong and nothing was started; 130, 143
and 129 after SIGINT (Control-C), SIGTERM and SIGHUP. Whatever is printed or logged is free of secrets.
"""

import importlib.metadata
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from retort.cli.comparing import compare
from retort.cli.corpora import show
from retort.cli.deployment import export, latency
from retort.cli.experiments import distill, evaluate, prepare, sweep
from retort.cli.fetching import fetch
from retort.cli.imports import imports
from retort.cli.process import Signals, end_children_at_exit, without_secrets
from retort.cli.reports import front, report, ui
from retort.cli.searching import search
from retort.cli.teachers import rankings, rewrites
from retort.cli.verifying import verify
from retort.errors import InputError, RetortError
from retort.redaction import learn_from

__all__ = ["app", "main"]

# In the order of the work, which is the help's.
COMMANDS: Final[dict[str, typer.Typer | Callable[..., Any]]] = {
    "fetch": fetch,
    "import": imports,
    "rewrites": rewrites,
    "rankings": rankings,
    "prepare": prepare,
    "distill": distill,
    "evaluate": evaluate,
    "sweep": sweep,
    "front": front,
    "report": report,
    "compare": compare,
    "latency": latency,
    "search": search,
    "export": export,
    "ui": ui,
    "show": show,
    "verify": verify,
}


class _InOrder(TyperGroup):
    """Lists commands and groups of commands in one order; typer puts all groups first."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(COMMANDS)


app = typer.Typer(
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _command in COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)


def _tell_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"retort {importlib.metadata.version('retort')}\n")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Distil an LLM's query rewriting into sparse conversational retrievers, and see what each costs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    learn_from(words)
    with without_secrets(), Signals() as signals:
        try:
            code = _run(words)
        except (typer.Abort, KeyboardInterrupt):
            code = _interrupted(signals)
        except Exception as error:  # noqa: BLE001 - told whole; past this block the interpreter would tell it with its secrets
            code = _interrupted(signals) if signals.received is not None else _failed(error)
        else:
            # A library may have taken the interrupt for an end of its work.
            code = code if signals.received is None else _interrupted(signals)
        return code


def _interrupted(signals: Signals) -> int:
    sys.stderr.write("interrupted; what was finished is kept\n")
    end_children_at_exit()
    return signals.exit_code


def _run(words: list[str]) -> int:
    try:
        result = app(args=words, standalone_mode=False, prog_name="retort")
    except typer.TyperException as error:
        # typer carries a click of its own, whose errors are no click.ClickException. Without a command it is the help.
        text = error.format_message().replace(": Value error, ", ": ")  # pydantic's words, which say nothing here
        sys.stderr.write(f"{text}\n" if "\n" in text else f"error: {text} See --help.\n")
        return 2
    return result if isinstance(result, int) else 0


def _store_failure(error: Exception) -> str | None:
    from retort.distill.infrastructure import infrastructure_failure

    return infrastructure_failure(error)


def _failed(error: Exception) -> int:
    """Tell what went wrong; returns the exit code."""
    if isinstance(error, InputError):
        sys.stderr.write("".join(f"error: {line}\n" for line in str(error).splitlines()))
        return 2
    if isinstance(error, RetortError):
        sys.stderr.write(f"failed: {error}\n")
    elif isinstance(error, OSError):
        sys.stderr.write(f"failed: {error.strerror or error}{f': {error.filename}' if error.filename else ''}\n")
    elif (failed := _store_failure(error)) is not None:
        sys.stderr.write(f"failed: {failed}; what was finished is kept, run the command again\n")
    else:
        # Nobody foresaw it: a fault of Retort's own, or of a library, whose place is to be known.
        sys.stderr.write("".join(traceback.format_exception(error)))
    return 1
