"""The card of a finetuned model, with its results as the hub's ``model-index``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmtf import __version__
from xmtf.files import write_text
from xmtf.report.collect import Run, Score, collect_run
from xmtf.report.compare import compare
from xmtf.report.tables import render_table, results_table

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

__all__ = ["model_card", "write_model_card"]

_HUB_METRICS = {"accuracy": "accuracy", "exact_match": "exact_match", "f1": "f1", "bleu": "bleu", "chrf": "chrf"}


def write_model_card(run_folder: Path, model: Path | None = None) -> Path:
    """Write ``README.md`` into a model folder, by default that of the run; return its path."""
    path = (model or run_folder / "model") / "README.md"
    write_text(path, model_card(collect_run(run_folder)))
    return path


def model_card(run: Run) -> str:
    """Return the card: front matter that the hub reads, then text for people.

    The metadata is checked by ``huggingface_hub`` itself.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        model_name=run.name,
        language=_languages(run),
        library_name="transformers",
        pipeline_tag=_pipeline(run),
        base_model=_base(run),
        tags=["xmtf", "multitask-finetuning"],
        eval_results=list(_results(run)) or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_text(run)}"


def _text(run: Run) -> str:
    description = run.recipe.get("description") or "A multitask-finetuned language model."
    parts = [
        f"# {run.name}",
        description,
        "## Use",
        _use(run),
        "## Limitations",
        _LIMITATIONS,
        "## Training",
        _facts(run),
    ]
    if run.scores:
        table = render_table(results_table("results", "", compare(run.results)), "md")
        parts += ["## Evaluation", "Zero-shot; brackets are 95 % intervals with rows of the data as units.", table]
    parts.append(f"Made by xmtf {__version__}. The run's recipe and manifests hold every setting.")
    return "\n\n".join(part.strip() for part in parts) + "\n"


_LIMITATIONS = (
    "The model continues text: make clear where the prompt ends, for instance with a full stop or a question mark, "
    "and say in which language the answer should be. It was finetuned on short answers and tends to give them."
)


def _use(run: Run) -> str:
    kind = "AutoModelForSeq2SeqLM" if _is_encoder_decoder(run) else "AutoModelForCausalLM"
    return "\n".join([
        "```python",
        f"from transformers import AutoTokenizer, {kind}",
        "",
        'tokenizer = AutoTokenizer.from_pretrained("path/to/model")',
        f'model = {kind}.from_pretrained("path/to/model")',
        'inputs = tokenizer("Say in Swahili: water.", return_tensors="pt", return_token_type_ids=False)',
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=20)[0]))",
        "```",
    ])  # fmt: skip


def _facts(run: Run) -> str:
    details: dict[str, Any] = run.model.counts if run.model is not None else {}
    rows = sum(run.composition["rows"].to_pylist())
    datasets = len(set(run.composition["dataset"].to_pylist()))
    facts = {
        "starting from": _base(run) or "random weights",
        "parameters": f"{details['num_parameters']:,}" if "num_parameters" in details else None,
        "examples": f"{rows:,} of {datasets} datasets in {len(_languages(run) or [])} languages",
        "steps": details.get("step"),
        "tokens": f"{details['tokens']:,} (padding included)" if "tokens" in details else None,
        "precision": run.recipe["training"]["precision"],
        "loss weighting": run.recipe["training"]["loss"],
        "held out": ", ".join(run.recipe["mixture"]["held_out"]["clusters"]) or "nothing",
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value is not None)


def _languages(run: Run) -> list[str] | None:
    return sorted(set(run.composition["language"].to_pylist())) or None


def _is_encoder_decoder(run: Run) -> bool:
    return bool(run.recipe["model"]["architecture"] == "mt5")


def _pipeline(run: Run) -> str:
    return "text2text-generation" if _is_encoder_decoder(run) else "text-generation"


def _base(run: Run) -> str | None:
    """Return the hub id of the pretrained model; files and packages are no id that the hub knows."""
    base = run.recipe["model"]["base"]
    return base if base and base.count("/") == 1 and not base.startswith(("/", ".")) else None


def _results(run: Run) -> Iterable[EvalResult]:
    """Yield the best template of every (dataset, subset), as the BLOOMZ cards report."""
    from huggingface_hub import EvalResult

    best: dict[tuple[str, ...], tuple[float, Score]] = {}
    for score in run.scores.get("after", []):
        for metric in score["metrics"]:
            name = _HUB_METRICS.get(metric["name"])
            if name is None or not metric["num_items"] or score["dataset"].startswith("cldr/"):
                continue
            key = (score["cluster"], score["dataset"], score["subset"], score["split"], name)
            if key not in best or metric["value"] > best[key][0]:
                best[key] = (metric["value"], score)
    for (cluster, dataset, subset, split, name), (value, score) in sorted(best.items(), key=lambda item: item[0]):
        yield EvalResult(
            task_type="text-generation",
            task_name=cluster,
            dataset_type=dataset,
            dataset_name=f"{dataset} ({subset})" if subset else dataset,
            dataset_config=subset or None,
            dataset_split=split,
            metric_type=name,
            metric_value=round(100 * value if name in ("accuracy", "exact_match", "f1") else value, 2),
            metric_name=f"{name}, best template: {score['template']}",
        )
