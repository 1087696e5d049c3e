"""The model card of an exported run: what it is, what it was taught by, what it measures, how it is used and made again.

It says what the workspace knows, and says so where the workspace knows nothing: a corpus's licence is not recorded there.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from retort.config import ContextConfig, EncoderConfig, describe
from retort.deploy.layout import needs_own_code, separator_text
from retort.evaluation.students import Run
from retort.measures.registry import SHOWN, figure
from retort.sparse.encoders.models import model_directory
from retort.storage import Folder, Record, Workspace
from retort.storage.layout import EVALUATION

__all__ = ["base_model", "model_card"]

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def base_model(encoder: EncoderConfig) -> tuple[str | None, str | None]:
    """Hub id of the model that a student began as, and its licence, where they are known.

    The licence is what the front matter of the model's own README.md says.
    """
    if encoder.model == "tiny":
        return None, None
    directory = model_directory(encoder)
    name = MINILM if encoder.model == "minilm" else None
    if HUB_ID.fullmatch(encoder.model) and not Path(encoder.model).expanduser().is_dir():
        name = encoder.model
    licence = None if directory is None else _front_matter(directory / "README.md").get("license")
    return name, licence if isinstance(licence, str) else None


def _front_matter(path: Path) -> Mapping[str, Any]:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    block = re.match(r"---\n(.*?)\n---\n", text, flags=re.DOTALL)
    data = yaml.safe_load(block[1]) if block else {}
    return data if isinstance(data, Mapping) else {}


def model_card(
    workspace: Workspace, run: Run, evaluations: Mapping[str, Folder], *, name: str, onnx: bool = False
) -> str:
    """A README.md as model hubs expect it: YAML front matter, then what a reader needs.

    Args:
        workspace: Holds the run.
        run: The student.
        evaluations: The evaluation of each split.
        name: The model's name.
        onnx: Whether the query encoder is exported as ONNX too.
    """
    base, licence = base_model(run.config.encoder)
    front: dict[str, object] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "feature-extraction",
        "tags": [
            "sentence-transformers",
            "sparse-encoder",
            "sparse",
            run.config.encoder.family,
            "conversational-search",
            "distillation",
            "retort",
        ],
    }
    if base is not None:
        front["base_model"] = base
    if licence is not None:
        front["license"] = licence
    record = run.folder.require("the run is not finished")
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# {name}",
        _summary(run),
        _measures(run, evaluations),
        _usage(run, name, onnx=onnx),
        _training(workspace, run, record),
        _licences(run.config.encoder, base, licence),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(run: Run) -> str:
    kind = {
        "lexical": "Queries weigh the context's own word pieces with a transformer; passages are BM25 impacts.",
        "splade": "Queries and passages are SPLADE vectors, each from an encoder of its own.",
    }[run.config.encoder.family]
    passages = "trained too" if run.config.trains_passages else "frozen while the queries were trained"
    return (
        "A sparse retriever for conversational search: it reads a whole conversation, and was distilled from the rankings of "
        f"rewritten questions, so that no rewriting model is needed when it is asked. {kind} The passage encoder was {passages}."
    )


def _measures(run: Run, evaluations: Mapping[str, Folder]) -> str:
    if not evaluations:
        return "## Measures\n\nThis run has not been evaluated."
    rows = [f"| split | n | {' | '.join(SHOWN)} |", f"|---|---:|{'---:|' * len(SHOWN)}"]
    for split, folder in evaluations.items():
        measured = folder.read_json(EVALUATION.measures)
        values = " | ".join(figure(name, measured[name]) for name in SHOWN)
        rows.append(f"| {split} | {measured['n']} | {values} |")
    return (
        "## Measures\n\n"
        "Exact retrieval over the whole collection. FLOPS: mean number of multiplications per pair of query and passage, "
        "`sum_j p_q(j) p_d(j)`; L0: active terms of a query. `validate` is what was held out of training to choose on.\n\n"
        + "\n".join(rows)
    )


def _format(context: ContextConfig, separator: str) -> str:
    shown = separator if separator.strip() else " "
    joint = f" {shown} " if shown.strip() else " "
    messages = ["And who built it?", "It is in Paris.", "Where is the Eiffel Tower?"]
    if not context.answers:
        del messages[1]
    if context.order == "oldest_first":
        messages.reverse()
    return joint.join(messages)


def _usage(run: Run, name: str, *, onnx: bool) -> str:
    encoder, context, separator = run.config.encoder, run.config.context, separator_text(run)
    trust = ", trust_remote_code=True" if needs_own_code(run) else ""
    newest = context.order == "newest_first"
    points = [
        "the current question first, then the earlier messages, newest first"
        if newest
        else "every message as it was said, oldest first; the current question is the last",
        f"`{separator}` between messages" if separator.strip() else "a space between messages",
        "user and system messages alike" if context.answers else "the user's messages alone, without the answers",
    ]
    if context.last_turns is not None:
        points.append(f"of the history the last {context.last_turns} turns")
    if context.first_turn:
        points.append(f"the conversation's first question is always kept, {'last' if newest else 'first'} in the text")
    if context.ptkb != "none":
        points.append(f"statements about the user ({context.ptkb}) next to the question")
    points.append(
        f"at most {encoder.query_tokens} tokens, special ones included; what is over is cut at the oldest end"
    )
    limits = run.student.limits
    if limits.cost_threshold:
        points.append(
            f"of a query's terms those are cut whose weight is at most {limits.cost_threshold:g} times the share of passages "
            "that hold them"
        )
    if limits.max_terms is not None or limits.threshold:
        kept = "all" if limits.max_terms is None else f"at most {limits.max_terms}"
        points.append(f"of a query's terms {kept} are kept, those of weight up to {limits.threshold:g} are cut")
    code = [
        "```python",
        "from sentence_transformers import SparseEncoder",
        "",
        f'model = SparseEncoder("{name}"{trust})',
        f'query = model.encode_query("{_format(context, separator)}")',
        'passage = model.encode_document("Eiffel Tower. The tower was built by the company of Gustave Eiffel.")',
        "print(model.similarity(query, passage))",
        "print(model.decode(query, top_k=10))",
        "```",
    ]
    text = "## Use\n\n" + "\n".join(code)
    text += "\n\nA context is one text:\n\n" + "\n".join(f"- {point};" for point in points[:-1]) + f"\n- {points[-1]}."
    text += f"\n\nA passage is its title, a full stop and its text, cut after {encoder.passage_tokens} tokens."
    if needs_own_code(run):
        text += " The module beside the weights is loaded by `trust_remote_code=True`; read it first."
    if onnx:
        text += (
            "\n\n`onnx/query_encoder.onnx` is the query encoder: `input_ids` and `attention_mask`, (batch, tokens) int64, to "
            "`vectors`, (batch, vocabulary) float32."
        )
    return text


def _training(workspace: Workspace, run: Run, record: Record) -> str:
    config = run.config
    passages = workspace.folder("passages").require("import a corpus first").counts["passages"]
    rows = {
        "collection": f"{int(passages):,} passages",
        "trained on": f"split `{config.corpus.train}`"
        + ("" if config.corpus.validation is None else ", without the conversations held out to choose on"),
        "teacher": ", ".join(f"`{name}`" for name in config.teacher.names)
        + f" (rewrites; their {config.teacher.top_k} best passages)",
        **describe(config).rows(),
        "base model": f"`{config.encoder.model}`"
        + ("" if config.encoder.layers is None else f", its lowest {config.encoder.layers} layers"),
        "run": f"`{run.name}`",
        "made": f"{record.created}, {', '.join(f'{name} {version}' for name, version in record.libraries.items())}",
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])
    teachers = "".join(
        f"retort rewrites add REWRITES --teacher {name} --split {config.corpus.train} -w workspace\n"
        for name in config.teacher.names
    )
    split = config.corpus.evaluate or "dev"
    return (
        f"## Training\n\n{table}\n\n`experiment.yaml` has every setting. The same run again, on the same corpus:\n\n"
        "```sh\n"
        f"retort import CORPUS FILES --split {config.corpus.train} -w workspace    # as `retort import --help` says\n"
        f"{teachers}"
        "retort distill experiment.yaml -w workspace\n"
        f"retort evaluate {run.name} --split {split} -w workspace\n"
        "```"
    )


def _licences(encoder: EncoderConfig, base: str | None, licence: str | None) -> str:
    if encoder.model == "tiny":
        model = "The model was made from random weights: there is no base model."
    else:
        named = f"`{base}`" if base is not None else f"`{encoder.model}`"
        model = f"The base model is {named}, " + (
            f"under the licence `{licence}`."
            if licence is not None
            else "whose licence its files do not say; look it up."
        )
    return (
        f"## Licences\n\n{model} Under which licence the corpus and the rewrites may be used is not recorded where this model "
        "was made: add it before you publish (`retort fetch CORPUS` names it for known corpora)."
    )
