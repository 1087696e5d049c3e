"""How a teacher's rewrites are generated: which model answers which prompt, and how it is reached.

What changes an answer is in ``RewritingConfig.identity``; how fast, how often and at which address the model is asked is not.
"""

from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, model_validator

from retort.config.base import MANY, MAX_SEED, Settings

__all__ = ["EndpointConfig", "RewritingConfig"]

DAY_SECONDS: Final = 86_400.0  # no endpoint is waited for longer; the system's own clocks overflow far above


class EndpointConfig(Settings):
    """An OpenAI-compatible endpoint: how it is reached, and how many requests it may get."""

    base_url: str = Field(description="the address before /chat/completions, such as http://localhost:8000/v1")
    key_env: str = Field(
        default="OPENAI_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable that holds the key; unset: requests carry none",
    )
    concurrency: PositiveInt = Field(default=8, le=1024, description="requests under way at a time")
    max_retries: int = Field(
        default=6, ge=0, le=100, description="further attempts of a request that failed in passing"
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0, le=DAY_SECONDS, description="seconds without an answer after which an attempt has failed"
    )
    backoff_seconds: float = Field(
        default=1.0, gt=0, le=DAY_SECONDS, description="upper bound of the first pause; doubles every attempt"
    )
    longest_pause_seconds: float = Field(
        default=120.0, gt=0, le=DAY_SECONDS, description="no pause is longer, whatever the server asks"
    )
    requests_per_minute: PositiveInt | None = Field(
        default=None, le=MANY, description="largest number of requests in a minute; null: no limit"
    )
    tokens_per_minute: PositiveInt | None = Field(
        default=None, le=10**12, description="tokens of prompts and answers together; null: no limit"
    )
    limit_name: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="what the endpoint calls the limit of an answer's tokens"
    )
    price_in: float | None = Field(default=None, ge=0, description="price per million prompt tokens, in any currency")
    price_out: float | None = Field(
        default=None, ge=0, description="price per million answer tokens, in the same currency"
    )

    @model_validator(mode="after")
    def _address_is_one_and_holds_no_secret(self) -> Self:
        try:
            parts = urlsplit(self.base_url)
            host = parts.hostname
        except ValueError:
            parts, host = None, None
        # The value is not repeated here: where it holds a secret, the message would.
        if parts is None or parts.scheme not in ("http", "https") or not host:
            raise ValueError("base_url must be an address such as http://localhost:8000/v1")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError(
                "base_url must not hold a user, a password, a query or a fragment; put the key into the environment "
                "and name the variable with --key-env"
            )
        return self

    @model_validator(mode="after")
    def _prices_come_in_pairs(self) -> Self:
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("price_in and price_out are given together, or neither")
        return self


class RewritingConfig(Settings):
    """One teacher: a model, a prompt, and how answers are drawn."""

    backend: Literal["endpoint", "hf", "vllm"] = Field(
        default="hf", description="an OpenAI-compatible endpoint, a local transformers model, or vLLM through Ray"
    )
    model: str = Field(min_length=1, description="the endpoint's name for it, a hub id, or a local path")
    prompt: str = Field(default="self_contained", min_length=1, description="a prompt of the package, or a file of one")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0: always the likeliest token")
    max_new_tokens: int = Field(default=256, ge=1, le=32_768, description="an answer is cut there")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="seed of sampling, where temperature is above 0")
    batch_turns: PositiveInt = Field(default=16, le=1_000_000, description="turns that a local model answers at a time")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="precision of a local model's weights; auto: as they are stored"
    )
    endpoint: EndpointConfig | None = None

    @model_validator(mode="after")
    def _an_endpoint_has_an_address(self) -> Self:
        if (self.backend == "endpoint") != (self.endpoint is not None):
            raise ValueError(
                "--base-url is for the backend endpoint, and that backend needs it; got backend "
                f"{self.backend} {'without' if self.endpoint is None else 'with'} one"
            )
        return self

    def identity(self) -> dict[str, object]:
        """What changes an answer, beside the prompt's and the model's content.

        ``max_new_tokens`` does not: an answer that was cut there is no rewrite, so that a higher limit asks again for those
        alone. Without sampling there is nothing to seed.
        """
        data: dict[str, object] = {"backend": self.backend, "model": self.model, "temperature": self.temperature}
        if self.backend != "endpoint" and self.precision != "auto":
            data["precision"] = self.precision
        return data | ({"seed": self.seed} if self.temperature > 0 else {})
