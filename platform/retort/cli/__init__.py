"""``retort``: the command line. Parse, load, call, print; everything slow is imported by the command that needs it.

Exit codes: 0 done, 1 something failed while running, 2 the input or the configuration is wrong and nothing was started.
"""

import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from retort.cli import (
    conversations,
    corpora,
    deployment,
    experiments,
    fetching,
    imports,
    reports,
    searching,
    teachers,
)
from retort.errors import InputError, RetortError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
assert conversations.imports is imports.imports, "all imports are commands of one group"
app.add_typer(imports.imports, name="import")
app.add_typer(teachers.rewrites, name="rewrites")
app.add_typer(teachers.rankings, name="rankings")
app.add_typer(corpora.show, name="show")
fetching.register(app)
experiments.register(app)
searching.register(app)
reports.register(app)
deployment.register(app)


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
    try:
        result = app(args=None if argv is None else list(argv), standalone_mode=False, prog_name="retort")
    except typer.TyperException as error:
        # typer carries a click of its own, whose errors are no click.ClickException. Without a command it is the help.
        text = error.format_message()
        sys.stderr.write(f"{text}\n" if "\n" in text else f"error: {text} See --help.\n")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted; what was finished is kept\n")
        return 130
    except InputError as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in str(error).splitlines()))
        return 2
    except RetortError as error:
        sys.stderr.write(f"failed: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"failed: {error.strerror or error}{f': {error.filename}' if error.filename else ''}\n")
        return 1
    return result if isinstance(result, int) else 0
