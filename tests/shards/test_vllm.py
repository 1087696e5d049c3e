"""What goes to ``ray.data.llm`` and what comes back; vLLM itself is an extra that needs a GPU."""

import importlib.util
import warnings

import pytest
from pydantic import PydanticDeprecatedSince20

from retort.config import RewritingConfig
from retort.errors import InputError
from retort.records import Message, Turn
from retort.shards.vllm import answer_of_row, answer_with_vllm, check_vllm, row_of
from retort.teachers.prompts import load_prompt

SETTINGS = RewritingConfig(backend="vllm", model="some/model", max_new_tokens=30)
TURN = Turn("c_2", "c", 2, (Message("user", "Who?"),), "When?")


def test_a_turn_is_messages_and_sampling_parameters():
    row = row_of(TURN, load_prompt("self_contained"), SETTINGS)
    assert row["query_id"] == "c_2" and [m["role"] for m in row["messages"]] == ["system", "user"]
    assert row["sampling_params"] == {"temperature": 0.0, "max_tokens": 30}
    sampled = row_of(TURN, load_prompt("canard"), SETTINGS.model_copy(update={"temperature": 0.5, "seed": 3}))
    assert sampled["messages"] == [{"role": "user", "content": "Who? ||| When?"}]
    assert sampled["sampling_params"] == {"temperature": 0.5, "max_tokens": 30, "seed": 3}


def test_a_row_is_an_answer_or_a_reason():
    row = {"generated_text": "When was it?", "num_input_tokens": 12, "num_generated_tokens": 5}
    answer = answer_of_row(row, SETTINGS)
    assert (answer.text, answer.input_tokens, answer.output_tokens) == ("When was it?", 12, 5)
    cut = answer_of_row(row | {"num_generated_tokens": 30}, SETTINGS)
    assert cut.text is None and "cut at 30 tokens" in cut.reason
    failed = answer_of_row({"__inference_error__": "ValueError: too\n long"}, SETTINGS)
    assert failed.text is None and failed.reason == "vLLM failed: ValueError: too long"


def test_the_configuration_is_one_that_ray_takes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticDeprecatedSince20)  # ray 2.60.0 defines its models as pydantic 1 did
        from ray.data.llm import vLLMEngineProcessorConfig

    known = set(vLLMEngineProcessorConfig.model_fields)
    assert {
        "model_source",
        "batch_size",
        "concurrency",
        "should_continue_on_error",
        "engine_kwargs",
        "runtime_env",
    } <= known


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_way_out_is_told():
    with pytest.raises(InputError, match=r"pip install 'retort\[vllm\]'; or start `vllm serve`"):
        check_vllm()
    with pytest.raises(InputError, match="is not installed"):
        answer_with_vllm([TURN], load_prompt("canard"), SETTINGS, print)
