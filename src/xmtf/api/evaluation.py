"""Evaluation from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from xmtf.api.recipes import RecipeLike, opened
from xmtf.errors import ConfigError
from xmtf.evaluation.run import evaluate_setup
from xmtf.evaluation.suites.setup import Setup, named_suites, setup_of
from xmtf.extras import require_extra
from xmtf.recipe.load import explain_value
from xmtf.recipe.schema import Evaluation
from xmtf.results.frames import Results, read_results
from xmtf.run_folder import RunFolder

__all__ = ["evaluate"]


def evaluate(
    model: Path | str,
    suites: str | Iterable[str] | None = None,
    *,
    recipe: RecipeLike | None = None,
    out: Path | str | None = None,
    label: str | None = None,
    limit: int | None = None,
    device: str = "auto",
    offline: bool = False,
    replace: bool = False,
    **settings: object,
) -> Results:
    """Measure a model zero-shot, on named suites or on those of a recipe.

    Args:
        model: Folder, GGUF file, ``package:NAME`` or hub id.
        suites: Names of suites, tasks or patterns, such as ``"xnli,xcopa"`` or ``["L1"]``.
        recipe: A recipe whose suites are measured instead.
        out: Results folder; default ``results/<label>`` under the current folder.
        label: What the results call the model; default the last part of its name.
        limit: Rows of each split, a seeded choice; with ``suites``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; with ``suites``.
        offline: Never touch the network; with ``suites``.
        replace: Replace results of another model or other suites that are in ``out``.
        **settings: Keys of a recipe's section ``evaluation``, such as ``scoring="characters"``; with ``suites``.

    Raises:
        UserError: A suite, a dataset or the model is wrong; found before the model runs.
    """
    require_extra()
    label = label or str(model).rstrip("/").rsplit("/", 1)[-1]
    folder = RunFolder(Path()).results(label) if out is None else Path(out)
    if (suites is None) == (recipe is None):
        raise ConfigError("evaluate: give either suites, such as 'xnli,xcopa', or a recipe whose suites are evaluated")
    if recipe is not None:
        if settings or limit is not None or device != "auto" or offline:
            raise ConfigError("evaluate: a recipe's own keys apply; change them with load_recipe(path, overrides)")
        setup = setup_of(opened(recipe, ()))
    else:
        setup = _setup(suites or "", limit, settings, device=device, offline=offline)
    evaluate_setup(setup, model=str(model), label=label, out=folder, replace=replace)
    return read_results([folder])


def _setup(
    suites: str | Iterable[str], limit: int | None, settings: Mapping[str, object], *, device: str, offline: bool
) -> Setup:
    names = suites if isinstance(suites, str) else ",".join(suites)
    found, catalogue = named_suites(names, selection={"limit_rows": limit})
    try:
        evaluation = Evaluation.model_validate({"suites": found, "samples": 0} | dict(settings))
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(f"evaluate: {'.'.join(map(str, problem['loc']))}: {explain_value(problem)}") from None
    return Setup(evaluation, catalogue, device=device, offline=offline)
