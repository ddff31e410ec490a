"""lm-evaluation-harness's own command line with our engine among its models.

The harness finds models in a table of its own and looks for no plug-ins, so someone has to put ours into
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
        arguments: Such as ``["--tasks", "xcopa_et", "--model_args", "pretrained=runs/demo/model"]``.

    Raises:
        MissingExtraError: The harness is not installed.
        ConfigError: The harness refused the arguments; says why.
        SourceError: The data of a task cannot be fetched.
        SystemExit: As the harness ends.
    """
    register()
    from lm_eval.__main__ import cli_evaluate

    rest = list(arguments)
    verb = [rest.pop(0)] if rest and rest[0] in ("run", "ls", "validate") else ["run"]
    named = any(part in ("--model", "-M") or part.startswith("--model=") for part in rest)
    model = [] if named or verb != ["run"] else ["--model", MODEL_NAME]
    with _arguments(["lm_eval", *verb, *model, *rest]):
        try:
            cli_evaluate()
        except ConnectionError as error:
            raise SourceError(f"lm-evaluation-harness takes the data of its tasks from the hub: {error}") from error
        except ValueError as error:
            *_, last = traceback.walk_tb(error.__traceback__)
            if not last[0].f_globals["__name__"].startswith("lm_eval."):
                raise
            raise ConfigError(f"lm-evaluation-harness: {error} (`xmtf evaluate harness ls tasks`)") from error


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Let the harness, which reads ``sys.argv``, see these arguments."""
    before = sys.argv
    sys.argv = arguments
    try:
        yield
    finally:
        sys.argv = before
