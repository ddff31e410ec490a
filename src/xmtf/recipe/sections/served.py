"""How a model behind a server is asked: the keys of ``evaluation.server``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from xmtf.recipe.effects import affects
from xmtf.recipe.sections.section import Name, Section, is_none, is_nothing

__all__ = ["ServedModel"]

ANSWERED = affects(evaluation="result")
UNSEEN = affects()


class ServedModel(Section):
    """How a model behind a server is asked (`--model openai:URL#NAME`, `--model vllm:ID`)."""

    tokenizer: Annotated[Name | None, ANSWERED] = Field(default=None, exclude_if=is_none)
    """Folder or hub id of the model's tokenizer; choices cannot be ranked without it. Default what the server calls the
    model, where that is one."""
    extra_body: Annotated[dict[str, Any], ANSWERED] = Field(default_factory=dict, exclude_if=is_nothing)
    """Keys added to every request, such as `{top_k: 1}`; one that is empty (null) is left out of the request."""
    concurrency: Annotated[int, UNSEEN] = Field(default=8, ge=1, le=1024)
    """Requests at once."""
    timeout_s: Annotated[float, UNSEEN] = Field(default=120.0, gt=0)
    """Seconds after which a request is given up, and sent again."""
    retries: Annotated[int, UNSEEN] = Field(default=6, ge=0, le=100)
    """How often a request is sent again that the server was too busy for, or failed at."""
    max_requests: Annotated[int | None, UNSEEN] = Field(default=None, ge=1)
    """Most requests that are sent for one folder of results."""
    max_cost: Annotated[float | None, UNSEEN] = Field(default=None, gt=0)
    """Most that they may cost; needs `price`. Requests that are under way when it is reached are still paid for."""
    price: Annotated[tuple[float, float] | None, UNSEEN] = None
    """What a million tokens cost, read and written."""

    @field_validator("price")
    @classmethod
    def _no_negative_price(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not all(0 <= part < float("inf") for part in value):
            raise ValueError("the price of a million tokens must not be negative")
        return value

    @field_validator("extra_body")
    @classmethod
    def _no_key(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is decided elsewhere, and keys, which would be written into results."""
        for name in value:
            if name in ("model", "messages", "prompt", "stream") or "key" in name.lower():
                raise ValueError(f"{name} cannot be set here; keys belong in the environment (OPENAI_API_KEY)")
        return value

    @model_validator(mode="after")
    def _price_of_cost(self) -> ServedModel:
        if self.max_cost is not None and self.price is None:
            raise ValueError("max_cost needs price: the price of a million input and output tokens")
        return self
