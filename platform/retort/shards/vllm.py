"""vLLM through ``ray.data.llm`` as a back-end: for large local models, on as many GPUs as the cluster has.

vLLM is the optional extra of that name; nothing of it is imported before it is asked for.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

from retort.config import RewritingConfig
from retort.errors import InputError
from retort.records import Turn
from retort.shards.session import cluster_gpus, ensure_ray, quiet_ray_data
from retort.teachers.prompts import Prompt, ask_for
from retort.teachers.rewriter import Answer, Outcome, cut_answer, outcome_of

__all__ = ["answer_of_row", "answer_with_vllm", "check_vllm", "row_of"]

ERROR = "__inference_error__"  # Ray's column of rows that failed


def check_vllm() -> None:
    """Find out whether vLLM can be used.

    Raises:
        InputError: If it is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise InputError(
            "backend vllm needs the extra of that name, which is not installed: pip install 'retort[vllm]'; or start "
            "`vllm serve` anywhere and name its address with --base-url"
        )


def row_of(turn: Turn, prompt: Prompt, settings: RewritingConfig) -> dict[str, Any]:
    """What ``ray.data.llm`` reads of a turn."""
    ask = ask_for(turn, prompt)
    sampling: dict[str, Any] = {"temperature": settings.temperature, "max_tokens": settings.max_new_tokens}
    if settings.temperature > 0:
        sampling["seed"] = settings.seed
    return {"query_id": ask.query_id, "messages": ask.messages, "sampling_params": sampling}


def answer_of_row(row: dict[str, Any], settings: RewritingConfig) -> Answer:
    """The answer that ``ray.data.llm`` gave for a turn, or why there is none."""
    if row.get(ERROR):
        return Answer(None, f"vLLM failed: {' '.join(str(row[ERROR]).split())[:200]}")
    tokens_in, tokens_out = int(row.get("num_input_tokens") or 0), int(row.get("num_generated_tokens") or 0)
    if tokens_out >= settings.max_new_tokens:
        return cut_answer(settings.max_new_tokens, tokens_in, tokens_out)
    return Answer(str(row.get("generated_text") or ""), "", tokens_in, tokens_out)


def answer_with_vllm(
    turns: list[Turn], prompt: Prompt, settings: RewritingConfig, on_outcome: Callable[[Outcome], None]
) -> None:
    """Rewrite turns with vLLM; a row that fails is that turn's outcome.

    Raises:
        InputError: If vLLM is not installed.
    """
    check_vllm()
    ensure_ray()
    import ray.data
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    types = {"auto": "auto", "fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
    config = vLLMEngineProcessorConfig(
        model_source=settings.model,
        batch_size=settings.batch_turns,
        concurrency=max(1, cluster_gpus()),
        should_continue_on_error=True,
        engine_kwargs={"dtype": types[settings.precision], "enable_prefix_caching": True},
        runtime_env={"env_vars": {"VLLM_NO_USAGE_STATS": "1"}},
    )
    processor = build_processor(
        config,
        preprocess=lambda row: row,
        postprocess=lambda row: {
            key: row[key] for key in ("query_id", "generated_text", "num_input_tokens", "num_generated_tokens")
        },
    )
    with quiet_ray_data():
        dataset = processor(ray.data.from_items([row_of(turn, prompt, settings) for turn in turns]))
        for row in dataset.iter_rows():
            on_outcome(outcome_of(str(row["query_id"]), answer_of_row(row, settings), prompt))
