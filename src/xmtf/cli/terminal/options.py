"""Options that several verbs take, each said once: as a type, or as a field of a dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import orjson
import typer
from pydantic import ValidationError

from xmtf.errors import ConfigError
from xmtf.extras import require_extra
from xmtf.json_types import JsonObject
from xmtf.recipe.sections.served import ServedModel
from xmtf.servers.reference import is_served
from xmtf.servers.spending import parse_price

__all__ = [
    "AsJson",
    "BeginOfInputs",
    "Chat",
    "DecodingOptions",
    "Device",
    "Dtype",
    "Offline",
    "Overrides",
    "Overwrite",
    "PrintJson",
    "Quantize",
    "RecipePath",
    "Replace",
    "ServerOptions",
    "begin_choice",
    "needs_models",
    "with_options",
]

RecipePath = Annotated[Path, typer.Argument(help="Recipe file, such as recipes/demo.yaml.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Overrides, such as training.steps=200.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Device to run on; cuda:1 is the second GPU.")]
Dtype = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option(help="Precision to compute in; auto: that of the stored weights."),
]
Quantize = Annotated[
    Literal["nf4", "int8"] | None, typer.Option(help="Quantise weight matrices to 4 bits (nf4) or 8 bits (int8).")
]
BeginOfInputs = Annotated[
    Literal["auto", "true", "false"],
    typer.Option(help="Begin-of-text token before prompts; auto: as the tokenizer does."),
]
Chat = Annotated[
    Literal["auto", "on", "off"],
    typer.Option(help="Prompt in the model's chat format; auto: as it was trained, else if it has a chat template."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never access the network.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace existing finished work: models, results, checkpoints.")
]
Overwrite = Annotated[bool, typer.Option("--replace", help="Overwrite existing files, even if edited since.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print scores as JSON lines.")]
PrintJson = Annotated[bool, typer.Option("--json", help="Print JSON; docs/json.md lists its fields.")]


def begin_choice(text: str) -> bool | Literal["auto"]:
    """Return the value of the key ``tokens.begin_of_inputs`` that ``--begin-of-inputs`` names."""
    return "auto" if text == "auto" else text == "true"


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """How answers are generated; the meaning is that of :class:`xmtf.evaluation.generation.decoding.Decoding`."""

    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of tokens per answer.")] = 64
    min_new_tokens: Annotated[int, typer.Option(min=0, help="Minimum number of tokens per answer.")] = 0
    temperature: Annotated[float, typer.Option(min=0, help="Sampling temperature; 0 is greedy.")] = 0.0
    top_k: Annotated[int, typer.Option(min=0, help="Sample from the N most likely tokens; 0: from all.")] = 0
    top_p: Annotated[
        float, typer.Option(min=0.01, max=1, help="Nucleus sampling: probability mass to sample from.")
    ] = 1.0
    beams: Annotated[int, typer.Option(min=1, help="Number of beams for beam search.")] = 1
    stop: Annotated[
        list[str] | None, typer.Option(help="Stop sequence, which answers do not include; may be repeated.")
    ] = None

    def section(self) -> JsonObject:
        """Return them as the keys of a recipe's ``evaluation.generation``, which lacks ``max_new_tokens``."""
        names = ("min_new_tokens", "temperature", "top_k", "top_p", "beams")
        return {**{name: getattr(self, name) for name in names}, "stops": tuple(self.stop or ())}


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a model behind a server is asked; the meaning is that of :class:`xmtf.recipe.sections.served.ServedModel`."""

    tokenizer: Annotated[
        str | None, typer.Option(help="Served models: tokenizer (folder or hub id) for ranking choices.")
    ] = None
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Served models: concurrent requests.")] = 8
    request_timeout: Annotated[float, typer.Option(min=0.1, help="Served models: timeout of a request in seconds.")] = (
        120.0
    )
    retries: Annotated[int, typer.Option(min=0, max=100, help="Served models: retries of a failed request.")] = 6
    extra_body: Annotated[
        str | None, typer.Option(help="Served models: JSON object of extra keys for each request.")
    ] = None
    max_requests: Annotated[int | None, typer.Option(min=1, help="Served models: maximum number of requests.")] = None
    max_cost: Annotated[float | None, typer.Option(help="Served models: maximum cost; needs --price.")] = None
    price: Annotated[
        str | None, typer.Option(help="Served models: price per million input and output tokens, such as 0.15,0.6.")
    ] = None

    def section(self, model: str) -> ServedModel | None:
        """Return them as a recipe's ``evaluation.server``; None where a model is loaded here.

        Raises:
            ConfigError: One is wrong, or is given of a model that is loaded here.
        """
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        if not is_served(model):
            if given:
                name = given[0].replace("_", "-")
                raise ConfigError(f"--{name}: applies only to served models (--model openai:URL#NAME); remove it")
            return None
        price = parse_price(self.price)
        values = {
            "tokenizer": self.tokenizer,
            "concurrency": self.concurrency,
            "timeout_s": self.request_timeout,
            "retries": self.retries,
            "extra_body": _json_object(self.extra_body),
            "max_requests": self.max_requests,
            "max_cost": self.max_cost,
            "price": None if price is None else (price.read, price.written),
        }
        try:
            return ServedModel.model_validate(values)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            name = str(problem["loc"][0]).replace("_", "-") if problem["loc"] else "max-cost"
            raise ConfigError(f"--{name}: {problem['msg'].removeprefix('Value error, ')}") from None


def _json_object(text: str | None) -> JsonObject:
    try:
        found = {} if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"--extra-body: {text!r} is not a JSON object, such as '{{\"top_k\": 1}}'")
    return found


def needs_models(verb: Callable[..., None]) -> Callable[..., None]:
    """Refuse a verb, before it does anything, where what every model needs is not installed."""

    @functools.wraps(verb)
    def checked(*arguments: object, **values: object) -> None:
        require_extra()
        verb(*arguments, **values)

    return checked


def with_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb, for each parameter that is a dataclass, the dataclass's fields as options.

    So the verb ``rank`` below has the options ``--model``, ``--device`` and ``--scoring``::

        @dataclass
        class Common:
            model: Annotated[str, typer.Option(help="...")]
            device: Device = "auto"

        @app.command()
        @with_options
        def rank(common: Common, scoring: Annotated[str, typer.Option(help="...")] = "bloomz") -> None: ...
    """
    hints = get_type_hints(verb, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name in groups:
            parameters += _fields_as_parameters(groups[name])
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))

    def called(**values: object) -> None:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        verb(**made, **values)

    called.__name__, called.__doc__, called.__module__ = verb.__name__, verb.__doc__, verb.__module__
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    return called


def _fields_as_parameters(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
