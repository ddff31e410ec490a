"""lm-evaluation-harness's own command line with our engine among its models.

The harness finds models in its own table and searches for no plug-ins, so someone has to put ours into
it: :func:`register`. From Python that is all there is to do::

    from xmtf.evaluation.harness import register

    register()
    lm_eval.simple_evaluate(model="xmtf", model_args={"pretrained": "runs/demo/model"}, tasks=["xcopa_et"])
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xmtf.errors import ConfigError, MissingExtraError, SourceError
from xmtf.evaluation.engine.chat import ChatWish, chat_of_model, choose_chat
from xmtf.evaluation.harness.local_data import data_of_mirror
from xmtf.evaluation.harness.written import refusing_half_written
from xmtf.execution import say

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MODEL_NAME", "register", "run_harness"]

MODEL_NAME = "xmtf"
"""What the harness calls our engine: ``--model xmtf``."""


def register() -> None:
    """Make our engine known to lm-evaluation-harness; more than once does no harm.

    Raises:
        MissingExtraError: It is not installed.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise MissingExtraError("lm_eval", "harness")
    import lm_eval.models  # noqa: F401 - fills the table that ours is added to
    from lm_eval.api.registry import MODEL_REGISTRY, register_model

    from xmtf.evaluation.harness.model import HarnessModel

    if MODEL_NAME not in MODEL_REGISTRY:
        register_model(MODEL_NAME)(HarnessModel)


def run_harness(arguments: Sequence[str]) -> None:
    """Run the harness's command line, on our engine unless the arguments name another model.

    Args:
        arguments: Such as ``["--tasks", "xcopa_et", "--model_args", "pretrained=runs/demo/model"]``. ``--chat`` is
            ours: ``on`` is the harness's ``--apply_chat_template``, ``auto`` (default) does so as other verbs do.

    Raises:
        MissingExtraError: The harness is not installed.
        ConfigError: ``--chat`` says something else, or the harness refused the arguments; says why.
        SourceError: The data of a task cannot be fetched.
        OSError: Its results cannot be written.
        SystemExit: As the harness ends.
    """
    register()
    from lm_eval.__main__ import cli_evaluate

    rest = _asking_in_chat(list(arguments))
    verb = [rest.pop(0)] if rest and rest[0] in ("run", "ls", "validate") else ["run"]
    named = any(part in ("--model", "-M") or part.startswith("--model=") for part in rest)
    model = [] if named or verb != ["run"] else ["--model", MODEL_NAME]
    with _arguments(["lm_eval", *verb, *model, *rest]):
        try:
            with data_of_mirror(), refusing_half_written(_option(rest, "--output_path", "-o")):
                cli_evaluate()
        except ConnectionError as error:
            raise SourceError(f"lm-evaluation-harness downloads the data of its tasks from the hub: {error}") from error
        except ValueError as error:
            *_, last = traceback.walk_tb(error.__traceback__)
            if not last[0].f_globals["__name__"].startswith("lm_eval."):
                raise
            raise ConfigError(f"lm-evaluation-harness: {error} (`xmtf evaluate harness ls tasks`)") from error


def _asking_in_chat(arguments: list[str]) -> list[str]:
    """Take ``--chat`` out of the arguments, and put the harness's own option for it in where the model is asked so."""
    wanted = _taken(arguments, "--chat") or "auto"
    if wanted not in ("auto", "on", "off"):
        raise ConfigError(f"--chat {wanted}: must be auto, on or off")
    ref = _pretrained(arguments)
    named = any(part in ("--model", "-M") or part.startswith("--model=") for part in arguments)
    told = any(part.split("=")[0] in ("--apply_chat_template", "--apply-chat-template") for part in arguments)
    if told or ref is None or (named and wanted == "auto"):
        return [*arguments, "--apply_chat_template"] if wanted == "on" and not told else arguments
    chat, said = choose_chat(ChatWish(wanted), chat_of_model(ref), ref)  # type: ignore[arg-type]  # checked
    if said is not None:
        say(said)
    return arguments if chat is None else [*arguments, "--apply_chat_template"]


def _option(arguments: Sequence[str], *names: str) -> str | None:
    """Return the value of an option, or None."""
    for part, following in zip(arguments, [*arguments[1:], None], strict=True):
        name, given, value = part.partition("=")
        if name in names:
            return value if given else following
    return None


def _taken(arguments: list[str], option: str) -> str | None:
    """Return the value of an option, and take both out of the arguments."""
    for place, part in enumerate(arguments):
        if part.startswith(f"{option}="):
            return arguments.pop(place).partition("=")[2]
        if part == option and place + 1 < len(arguments):
            return arguments.pop(place) and arguments.pop(place)
    return None


def _pretrained(arguments: Sequence[str]) -> str | None:
    """Return the model that ``--model_args`` names, or None."""
    for part in arguments:
        for pair in (
            part.partition("--model_args=")[2].split(",") if part.startswith("--model_args=") else part.split(",")
        ):
            if pair.startswith("pretrained="):
                return pair.partition("=")[2]
    return None


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Let the harness, which reads ``sys.argv``, see these arguments."""
    before = sys.argv
    sys.argv = arguments
    try:
        yield
    finally:
        sys.argv = before
