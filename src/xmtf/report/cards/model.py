"""The card of a finetuned model, with its results as the hub's ``model-index``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xmtf import __version__
from xmtf.artefacts.manifest_parts import EvaluationDetails
from xmtf.errors import ConfigError, SourceError
from xmtf.execution import warn
from xmtf.files import MANIFEST, read_json, read_manifest, write_text
from xmtf.records import Score
from xmtf.report.agreement import results_of_model
from xmtf.report.cards.facts import base_model, data_text, facts_of, licence, training_text
from xmtf.report.cards.hub_results import write_hub_results
from xmtf.report.cards.index import chosen_values, eval_results, in_order, on_the_hub
from xmtf.report.collect import Run, collect_run
from xmtf.report.comparison.compare import compared
from xmtf.report.comparison.results import Results, collect_results
from xmtf.report.tables import render_table, results_table
from xmtf.run_folder import RunFolder

__all__ = ["card_of", "model_card", "write_card_of", "write_foreign_card", "write_model_card"]

_ADAPTERS = "adapter_config.json"
_LIMITATIONS = """\
- Make clear where the prompt ends: "Translate to English: Je t'aime." is answered, while without the full stop the
model may continue the French sentence. A question mark or a final "Answer:" does as well. - Say in which language the
answer should be, and give the context that the answer needs. - The model was finetuned on short answers and tends to
give them. It may state what is wrong, and repeats biases of
  the texts that it was trained on."""
_LIMITATIONS_OF_OTHERS = """\
- It may state what is wrong, and repeats biases of the texts that it was trained on.
- How it was trained is not documented here: xmtf evaluated it and did not train it."""
_CITATION = """\
```bibtex
@article{muennighoff2022crosslingual,
  title={Crosslingual generalization through multitask finetuning},
  author={Muennighoff, Niklas and Wang, Thomas and Sutawika, Lintang and Roberts, Adam and Biderman, Stella and
    Scao, Teven Le and Bari, M Saiful and Shen, Sheng and Yong, Zheng-Xin and Schoelkopf, Hailey and others},
  journal={arXiv preprint arXiv:2211.01786},
  year={2022}
}
```"""


def write_model_card(
    run_folder: Path, model: Path | None = None, *, checkpoint: str = "path/to/model", weights: str | None = None
) -> Path:
    """Write ``README.md`` into a model folder, by default that of the run, and its results in the hub's own format.

    Returns the path of the card.

    Args:
        run_folder: Folder of the run.
        model: Folder of the model.
        checkpoint: What readers load: a folder, or the hub id under which the model is published.
        weights: Identity of the model where it is not the run's; results of other weights are left out of its card.
    """
    path = (model or RunFolder(run_folder).model) / "README.md"
    run = collect_run(run_folder)
    if weights is not None and not results_of_model(RunFolder(run_folder), weights):
        warn(f"{path}: gets no results: those of the run are of other weights")
        run = replace(run, results=Results())
    write_text(path, model_card(run, checkpoint=checkpoint, model=model))
    write_hub_results(path.parent, last_scores(run.results))
    return path


def write_foreign_card(model: Path, *, checkpoint: str, encoder_decoder: bool) -> Path:
    """Write the card of weights of which no recipe is kept: how they are used, and nothing that was measured."""
    path = model / "README.md"
    front = _front_matter(model.name, Results(), None, encoder_decoder, adapters=(model / _ADAPTERS).exists())
    write_text(path, front + _text([
        (f"# {model.name}", "A checkpoint of a training whose recipe is not available; it was not evaluated."),
        ("## Use", _use(checkpoint, encoder_decoder)),
        ("## Limitations", _LIMITATIONS),
        ("", f"Made by xmtf {__version__}."),
    ]))  # fmt: skip
    return path


def card_of(source: Path, *, checkpoint: str = "path/to/model", model: str | None = None) -> str:
    """Return the model card of a run folder, or of results of one model.

    Args:
        source: Run folder or results folder.
        checkpoint: What readers load.
        model: Which model of the results, where there are several.

    Raises:
        SourceError: Neither a run folder nor a results folder.
        ConfigError: The results are of several models, and ``model`` names none of them.
    """
    return _card_and_scores(source, checkpoint, model)[0]


def write_card_of(source: Path, out: Path, *, checkpoint: str = "path/to/model", model: str | None = None) -> None:
    """Write the card of :func:`card_of`, and next to it the results in the hub's own format."""
    text, scores = _card_and_scores(source, checkpoint, model)
    write_text(out, text)
    write_hub_results(out.parent, scores)


def _card_and_scores(source: Path, checkpoint: str, model: str | None) -> tuple[str, Sequence[Score]]:
    if RunFolder(source).is_run:
        run = collect_run(source)
        return model_card(run, checkpoint=checkpoint), last_scores(run.results)
    results = collect_results([source])
    if model is None and len(results.scores) == 1:
        model = next(iter(results.scores))
    if model not in results.scores:
        raise ConfigError(f"{source}: contains results of {', '.join(results.scores)}; choose one with --model")
    return _results_card(results, model, checkpoint), results.scores[model]


def last_scores(results: Results) -> Sequence[Score]:
    """Return the scores of the last model: that after training, in a run."""
    return next(reversed(results.scores.values()), ())


def model_card(run: Run, *, checkpoint: str = "path/to/model", model: Path | None = None) -> str:
    """Return the card of a run's model: front matter that the hub reads, then text for people.

    Args:
        run: A collected run.
        checkpoint: What readers load.
        model: Its folder, by default that of the run; where it holds adapters alone, the snippets need peft.
    """
    description = run.recipe.get("description") or "A multitask-finetuned language model."
    folder = model or RunFolder(run.folder).model
    encoder_decoder = _is_encoder_decoder(run, folder)
    label = next(reversed(run.scores), None)
    adapters = (folder / _ADAPTERS).exists()
    licences = licence(run)
    base = base_model(run)
    terms = f"`{base}`, which it was finetuned from, is under {licences}." if licences else "Not stated by the recipe."
    front = _front_matter(
        run.name, run.results, label, encoder_decoder,
        languages=_languages(run), datasets=_datasets(run), licences=licences, base=base, adapters=adapters,
    )  # fmt: skip
    return front + _text([
        (f"# {run.name}", description),
        ("## Use", _use(checkpoint, encoder_decoder, " peft" if adapters else "")),
        ("## Limitations", _LIMITATIONS),
        ("## Training", training_text(run)),
        ("## Data", data_text(run)),
        ("## Evaluation", _evaluation(run.results, label)),
        ("## Licence", f"{terms} The sources of the data have licences of their own."),
        ("## Citation", f"The method and the data were published in\n\n{_CITATION}"),
        ("", f"Made by xmtf {__version__}. The run's recipe and manifests hold every setting."),
    ])  # fmt: skip


def _is_encoder_decoder(run: Run, folder: Path) -> bool:
    """Return the family of a run's model: by its files, else by the recipe's own shape."""
    if (folder / "config.json").is_file():
        return bool(read_json(folder / "config.json").get("is_encoder_decoder"))
    if (folder / _ADAPTERS).is_file():
        return bool(read_json(folder / _ADAPTERS).get("task_type") == "SEQ_2_SEQ_LM")
    return bool(run.recipe["model"]["architecture"] == "mt5")


def _results_card(results: Results, model: str, checkpoint: str) -> str:
    """Return a card that describes what was measured, of a model that was trained elsewhere."""
    written = [folder for folder in results.folders[model] if (folder / MANIFEST).exists()]
    details = EvaluationDetails.of(read_manifest(written[0]), written[0]) if written else EvaluationDetails()
    encoder_decoder = details.family == "encoder-decoder"
    known = facts_of(details.model or "")
    one = Results(
        {model: results.folders[model]}, {model: results.scores[model]}, {model: results.counts[model]},
        {model: results.samples[model]},
    )  # fmt: skip
    if not one.scores[model]:
        raise SourceError(f"{results.folders[model][0]}: contains no results")
    front = _front_matter(
        model, one, model, encoder_decoder, trained=False, languages=known.languages, datasets=known.datasets,
        licences=known.licence, base=known.base,
    )  # fmt: skip
    terms = f"The card of `{details.model}` states {known.licence}." if known.licence else ""
    return front + _text([
        (f"# {model}", "A language model, evaluated zero-shot with xmtf."),
        ("## Use", _use(checkpoint, encoder_decoder)),
        ("## Limitations", _LIMITATIONS_OF_OTHERS),
        ("## Evaluation", _evaluation(one, model)),
        ("## Licence", terms),
        ("", f"Made by xmtf {__version__}."),
    ])  # fmt: skip


def _front_matter(
    name: str,
    results: Results,
    label: str | None,
    encoder_decoder: bool,
    *,
    languages: list[str] | None = None,
    datasets: list[str] | None = None,
    licences: str | None = None,
    base: str | None = None,
    adapters: bool = False,
    trained: bool = True,
) -> str:
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        model_name=name,
        language=languages,
        datasets=datasets,
        license=licences,
        library_name="peft" if adapters else "transformers",
        pipeline_tag="text2text-generation" if encoder_decoder else "text-generation",
        base_model=base,
        tags=["xmtf", *(["multitask-finetuning"] if trained else []), *(["lora"] if adapters else [])],
        eval_results=eval_results(chosen_values(results.scores[label])) or None if label is not None else None,
        widget=_widget(results, label) or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _widget(results: Results, label: str | None) -> list[dict[str, str]]:
    """Return prompts to try, each of another task."""
    samples = results.samples.get(label, []) if label is not None else []
    prompts = {sample.provenance.task.partition("/")[0]: sample.prompt for sample in samples}
    return [{"text": prompt, "example_title": task} for task, prompt in list(prompts.items())[:3]]


def _text(sections: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join(f"{heading}\n\n{body.strip()}".strip() for heading, body in sections if body) + "\n"


def _use(checkpoint: str, encoder_decoder: bool, more: str = "") -> str:
    """Return snippets for a CPU, a GPU and 8 bit."""
    kind = "AutoModelForSeq2SeqLM" if encoder_decoder else "AutoModelForCausalLM"
    ways = {
        "On a CPU": ("", "", ""),
        "On a GPU": ('dtype="auto", device_map="auto"', "", ".to(model.device)"),
        "In 8 bit on a GPU": (
            'device_map="auto", quantization_config=eight_bit',
            ", BitsAndBytesConfig",
            ".to(model.device)",
        ),
    }
    needs = {"On a GPU": " accelerate", "In 8 bit on a GPU": " accelerate bitsandbytes"}
    parts = []
    for way, (options, imports, move) in ways.items():
        parts += [
            f"### {way}",
            f"    pip install torch transformers{more}{needs.get(way, '')}",
            "\n".join([
                "```python",
                f"from transformers import {kind}, AutoTokenizer{imports}",
                "",
                f'checkpoint = "{checkpoint}"',
                *(["eight_bit = BitsAndBytesConfig(load_in_8bit=True)"] if imports else []),
                "tokenizer = AutoTokenizer.from_pretrained(checkpoint)",
                f"model = {kind}.from_pretrained(checkpoint{', ' if options else ''}{options})",
                'prompt = "Translate to English: Je t\'aime."',
                f'inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False){move}',
                "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=20)[0]))",
                "```",
            ]),
        ]  # fmt: skip
    return "\n\n".join(parts)


def _evaluation(results: Results, label: str | None) -> str:
    if label is None:
        return ""
    table = render_table(results_table("results", "", compared(results)), "md")
    text = (
        "Zero-shot, averaged over all prompts of a suite; brackets are 95 % intervals, clustered by rows of the "
        "data.\n\n"
        f"{table}"
    )
    limited = sum(score.limited for score in results.scores[label])
    if limited:
        text += (
            f"\n{limited:,} of {len(results.scores[label]):,} results cover only some of the rows of their data; "
            "the `model-index` in this card's header omits them.\n"
        )
    if not chosen_values(results.scores[label]):
        return text
    return (
        f"{text}\nThe `model-index` in this card's header gives different numbers: for every dataset and "
        f"configuration the score of one prompt, chosen on the validation split if that was evaluated too, otherwise "
        f"the first of its file; the best prompt and the median may differ:\n\n"
        f"{_chosen(results.scores[label])}"
    )


def _chosen(scores: Sequence[Score]) -> str:
    """Return the numbers of the header with the median and the best prompt next to them."""
    head = (
        "| dataset | split | metric | prompt chosen by | value | median | best | prompts |\n| --- " + "| --- " * 7 + "|"
    )
    rows = [
        f"| {value.hub_id}{f' ({value.subset})' if value.subset else ''} | {value.split} | {value.metric} | {value.by} "
        f"| {value.value} | {value.median} | {value.best} | {value.prompts} |"
        for value in in_order(chosen_values(scores))
    ]
    return "\n".join([head, *rows])


def _languages(run: Run) -> list[str] | None:
    return sorted(set(run.composition["language"].to_pylist())) or None


def _datasets(run: Run) -> list[str] | None:
    """Return the datasets of the mixture that the hub knows."""
    return sorted(filter(on_the_hub, set(run.composition["dataset"].to_pylist()))) or None
