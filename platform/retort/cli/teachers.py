"""``retort rewrites`` and ``rankings``: what teachers rewrite and rank, generated here or added from files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from retort.cli.shared import JsonOption, WorkspaceOption, open_workspace, print_json, say, terminal_progress
from retort.errors import InputError

if TYPE_CHECKING:
    from retort.config import RewritingConfig
    from retort.shards.rewrites import Generated, Generation

__all__ = ["rankings", "rewrites"]

rewrites = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add or generate the rewrites of a teacher.")
rankings = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add the rankings of a teacher.")
ENDPOINT = "endpoint"


@rewrites.command("add")
def add_rewrites(
    file: Annotated[Path, typer.Argument(help="JSON lines with id or query_id, rewrite, and optionally teacher.")],
    teacher: Annotated[str, typer.Option(help="The teacher's name in the workspace.")],
    split: Annotated[str, typer.Option(help="The split that the rewrites are of.")],
    workspace: WorkspaceOption,
    select: Annotated[str | None, typer.Option(help="Keep the rows whose teacher equals this.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a teacher's rewrites of a split.

    Example: retort rewrites add rewrites.jsonl --teacher mistral --split train --workspace w
    """
    from dataclasses import asdict

    from retort.teachers.imports import add_rewrites as run

    counts = run(open_workspace(workspace), file, teacher=teacher, split=split, select=select)
    if as_json:
        print_json(asdict(counts))
        return
    what = "there already" if counts.skipped else "added"
    say(
        f"{teacher}/{split}: {what}: {counts.rewrites:,} rewrites of {counts.turns:,} turns, {counts.without:,} without"
    )


@rewrites.command("generate")
def generate_rewrites(
    teacher: Annotated[str, typer.Option(help="The teacher's name in the workspace.")],
    model: Annotated[str, typer.Option(help="The model: the endpoint's name for it, a hub id, or a local path.")],
    split: Annotated[str, typer.Option(help="The split to rewrite.")],
    workspace: WorkspaceOption,
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompt: self_contained, question_and_response, informative, canard, or a file of yours."),
    ] = None,
    backend: Annotated[
        Literal["endpoint", "hf", "vllm"] | None,
        typer.Option(help="What runs the model; by default endpoint where there is a --base-url, else hf."),
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible endpoint, up to /v1.")] = None,
    key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the key; by default OPENAI_API_KEY.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests at a time; by default 8.")] = None,
    max_retries: Annotated[
        int | None, typer.Option(help="Further attempts of a request that failed; by default 6.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds without an answer until a request fails; by default 120.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="Most requests a minute; by default no limit.")
    ] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="Most tokens a minute; by default no limit.")] = None,
    limit_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"] | None,
        typer.Option(help="What the endpoint calls the limit of an answer; by default max_tokens."),
    ] = None,
    price_in: Annotated[float | None, typer.Option(help="Price per million prompt tokens.")] = None,
    price_out: Annotated[float | None, typer.Option(help="Price per million answer tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Temperature of the sampling; by default 0.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Most tokens of an answer; by default 256.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling, where the temperature is above 0.")] = None,
    batch_turns: Annotated[
        int | None, typer.Option(help="Turns that a local model rewrites at a time; by default 16.")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None, typer.Option(help="Number format of a local model.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Rewrite only so many turns, the first, to look at a prompt.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate the cost, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking for confirmation.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Generate a teacher's rewrites of a split.

    The same command again asks for the missing ones only.

    Example: retort rewrites generate --teacher qwen --model qwen3 --base-url http://localhost:11434/v1 --split dev -w w
    """
    given = {
        "backend": backend or (ENDPOINT if base_url is not None else None),
        "model": model,
        "prompt": prompt,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "batch_turns": batch_turns,
        "precision": precision,
    }
    endpoint = {
        "base_url": base_url,
        "key_env": key_env,
        "concurrency": concurrency,
        "max_retries": max_retries,
        "timeout_seconds": timeout,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "limit_name": limit_name,
        "price_in": price_in,
        "price_out": price_out,
    }
    settings = _settings(given, endpoint)
    opened = open_workspace(workspace)
    from retort.shards.rewrites import generate_rewrites as run
    from retort.shards.rewrites import plan_generation

    plan = plan_generation(opened, settings, teacher=teacher, split=split, limit=limit)
    for line in _estimate_lines(plan):
        typer.echo(line, err=as_json)
    if dry_run:
        if as_json:
            print_json({"finished": plan.finished, "failed": plan.failed, "estimate": _fields(plan.estimate)})
        return 0
    if settings.backend == ENDPOINT and plan.estimate.turns and not yes:
        _confirm()
    with terminal_progress() as progress:
        done = run(plan, progress, limit=limit)
    _tell_generated(plan, done, as_json)
    return 1 if done.failed else 0


def _settings(given: dict[str, Any], endpoint: dict[str, Any]) -> "RewritingConfig":
    from retort.config import RewritingConfig, validated

    data = {key: value for key, value in given.items() if value is not None}
    reached = {key: value for key, value in endpoint.items() if value is not None}
    # Without an address the other options of an endpoint stand alone, which is reported as a missing base_url.
    return validated(RewritingConfig, data | ({"endpoint": reached} if reached else {}), source="command line")


def _fields(record: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(record)


def _estimate_lines(plan: "Generation") -> list[str]:
    guess = plan.estimate
    lines = [
        f"{plan.teacher}/{plan.split}: {plan.finished:,} rewrites are there, {guess.turns:,} turns are to be asked for"
    ]
    lines += [f"  failed before: {count:,}: {reason}" for reason, count in plan.failed.items()]
    if guess.turns:
        text = f"  about {guess.input_tokens:,} prompt tokens, at most {guess.output_tokens:,} answer tokens"
        endpoint = plan.settings.endpoint
        if guess.price is not None:
            text += f"; cost: at most about {guess.price:.4g}"
        elif endpoint is not None:
            text += "; cost: unknown without --price-in and --price-out"
        lines.append(text)
    return lines


def _confirm() -> None:
    import sys

    if not sys.stdin.isatty():
        raise InputError("an endpoint may cost money, and nobody is there to be asked: say --yes, or --dry-run")
    typer.confirm("start?", abort=True, err=True)


def _tell_generated(plan: "Generation", done: "Generated", as_json: bool) -> None:
    if as_json:
        print_json({"teacher": plan.teacher, "split": plan.split, **_fields(done)})
        return
    say(
        f"{plan.teacher}/{plan.split}: {done.rewrites:,} rewrites of {done.turns:,} turns, {done.asked:,} asked for now"
    )
    spent = f"  {done.input_tokens:,} prompt tokens, {done.output_tokens:,} answer tokens"
    say(spent + (f"; cost so far {done.cost:.4g}" if done.cost is not None else ""))
    if done.left:
        say(f"  {done.left:,} turns are left out (--limit); rewrites are written once all have been asked for")
    if done.failed:
        say(f"  {sum(done.failed.values()):,} failed; the same command again asks for them alone:")
        for reason, count in done.failed.items():
            say(f"    {count:,}: {reason}")


@rankings.command("add")
def add_rankings(
    file: Annotated[Path, typer.Argument(help="A TREC run, or DiSCo's run.json; may be .gz or .zst.")],
    teacher: Annotated[str, typer.Option(help="The teacher's name in the workspace.")],
    split: Annotated[str, typer.Option(help="The split that the rankings are of.")],
    workspace: WorkspaceOption,
    format: Annotated[
        Literal["trec", "disco"] | None,
        typer.Option(help="By default disco for a file with .json in its name, else trec."),
    ] = None,
    first_row: Annotated[
        int | None,
        typer.Option(min=0, max=1, help="disco: number of the topics file's first row; by default found out."),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(help="Leave out passages that the collection lacks; disco: and allow rows without a ranking."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a teacher's rankings of a split, made elsewhere.

    Students are distilled from them as from the rankings that its rewrites retrieve.

    Example: retort rankings add run.json --teacher disco-mistral --split train --workspace w
    """
    from retort.shards.imported import add_rankings as run

    with terminal_progress() as progress:
        counts = run(
            open_workspace(workspace),
            file,
            teacher=teacher,
            split=split,
            format=format or ("disco" if ".json" in file.name else "trec"),
            allow_missing=allow_missing,
            first_row=first_row,
            progress=progress,
        )
    if as_json:
        print_json(_fields(counts))
        return
    what = "there already" if counts.skipped else "added"
    say(
        f"{teacher}/{split}: {what}: rankings of {counts.ranked:,} of {counts.turns:,} turns, {counts.passages:,} passages, "
        f"{counts.unknown:,} unknown ones left out"
    )
    say(f"  {counts.positives_ranked:,} of {counts.positives:,} judged positives are in them")
    if counts.positives and counts.positives_ranked < counts.positives / 10:
        say(
            "  note: so few suggest that rows or doc_ids are shifted; look at a turn's passages before training from them"
        )
