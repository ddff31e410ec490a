"""``xmtf data pack`` and ``split-files``: token files of a recipe's mixture, or of any mixture folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xmtf.artefacts.manifest_parts import MixtureDetails
from xmtf.cli.data.tables import print_packed
from xmtf.cli.terminal.options import Overwrite, PrintJson, Replace
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError
from xmtf.files import read_manifest
from xmtf.mixture.io.read import find_mixture
from xmtf.models import model_family
from xmtf.models.files.references import plain_reference
from xmtf.recipe.load import load_recipe, resolve_recipe
from xmtf.records import Family
from xmtf.tokens import tokenize_mixture
from xmtf.tokens.rows.split_files import write_split_files

__all__ = ["load_for_tokens", "of_recipe", "pack", "split_files"]

Weights = Literal["tokens", "bytes", "equal", "xp3"]
Choice = bool | None


def pack(
    source: Annotated[Path, typer.Argument(help="A recipe whose mixture is built, or the folder of a mixture.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Overrides, such as tokens.tokenizer.train_vocab_size=32000; name=xp3.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder, tokenizer.json, GGUF file or hub id; default: the recipe's.")
    ] = None,
    family: Annotated[Family | None, typer.Option(help="Model family; for a mixture folder causal.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the token files; default: runs/<name>/tokens.")] = None,
    mixture: Annotated[Path | None, typer.Option(help="Mixture of a recipe; default: runs/<name>/mixture.")] = None,
    space_before_targets: Annotated[
        Choice, typer.Option(help="Add a space before targets; default: for causal models only.")
    ] = None,
    begin_of_inputs: Annotated[
        Choice, typer.Option(help="Add a begin-of-text token before inputs; default: as the tokenizer does.")
    ] = None,
    end_of_inputs: Annotated[Choice, typer.Option(help="Add an end-of-text token after inputs.")] = None,
    end_of_targets: Annotated[
        Choice, typer.Option(help="Add an end-of-text token after targets; on by default.")
    ] = None,
    replace: Replace = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tokenise a mixture into token files that Megatron reads.

    An interrupted command resumes where it stopped; finished token files are kept. Without a tokenizer, one is trained.
    Packing is not part of the files: it happens when they are read.

    Example: xmtf data pack runs/demo/mixture --tokenizer bigscience/bloom --out tokens
    """
    ends = {
        "space_before_targets": space_before_targets,
        "begin_of_inputs": begin_of_inputs,
        "end_of_inputs": end_of_inputs,
        "end_of_targets": end_of_targets,
    }
    chosen = [f"tokens.{key}={json.dumps(value)}" for key, value in ends.items() if value is not None]
    if tokenizer is not None:
        path = Path(tokenizer)
        chosen.append(f"tokens.tokenizer.path={json.dumps(str(path.resolve()) if path.exists() else tokenizer)}")
    if source.is_dir():
        if out is None or mixture is not None:
            raise ConfigError(f"{source}: for a mixture folder give --out FOLDER for its token files, and no --mixture")
        mixture = find_mixture(source)
        loaded, base, family = load_for_tokens(mixture, [*(overrides or []), *chosen], family), None, family or "causal"
    else:
        loaded, base, family = of_recipe(source, [*(overrides or []), *chosen], family)
        mixture = mixture or loaded.run.mixture
        out = out or loaded.run.tokens
    manifest = tokenize_mixture(loaded, mixture, out, family=family, base=base, replace=replace)
    print_packed(manifest, out, as_json=as_json)


def split_files(
    tokens: Annotated[Path, typer.Argument(help="Folder of token files.")],
    weights: Annotated[Weights, typer.Option(help="How languages are weighted; xp3: as for BLOOMZ.")] = "tokens",
    multiplier: Annotated[
        list[str] | None, typer.Option(help="Factor for a language, such as code=1.3; may be repeated.")
    ] = None,
    replace: Overwrite = False,
    as_json: PrintJson = False,
) -> None:
    """Write Megatron's weighted split files next to token files.

    Writes train.txt and validation.txt.

    Example: xmtf data split-files runs/demo/tokens --weights bytes --multiplier code=1.3
    """
    for path in write_split_files(tokens, weights=weights, multipliers=_factors(multiplier or []), replace=replace):
        languages = path.read_text(encoding="utf-8").count(", ") + 1
        if as_json:
            print_json({"path": str(path), "languages": languages})
        else:
            print_text(f"{path}: {languages} languages")


def load_for_tokens(source: Path, overrides: Iterable[str], family: str | None = None) -> Any:
    """Read a recipe, or take a folder in its place.

    Of a folder only ``name``, ``seed``, ``tokens``, ``mixture.validation_fraction``, ``execution`` and
    ``training.global_batch_rows`` count, with their defaults and the overrides.

    Args:
        source: A recipe file, or a folder of a mixture or of token files.
        overrides: ``key=value``.
        family: Of the model, for a folder; default causal.
    """
    if not source.is_dir():
        return load_recipe(source, overrides)
    # of token files, too: both have the key
    fraction = MixtureDetails.of(read_manifest(source), source).validation_fraction
    architecture = "mt5" if family == "encoder-decoder" else "bloom"
    data: dict[str, Any] = {
        "name": source.resolve().name,
        "mixture": {"prompted": [{"path": str(source)}]},
        # The schema wants a model and a length of training; nothing that a folder is taken for reads them.
        "model": {"architecture": architecture, "hidden_size": 8, "num_layers": 1, "num_heads": 1},
        "training": {"steps": 1},
    }
    if fraction is not None:
        data["mixture"]["validation_fraction"] = fraction
    return resolve_recipe(data, source, overrides)


def of_recipe(path: Path, overrides: list[str], family: Family | None) -> tuple[Any, str | None, Family]:
    """Return a recipe, the model whose tokenizer it takes, and the family that its token files are for."""
    loaded = load_for_tokens(path, overrides)
    model = loaded.recipe.model
    base = plain_reference(model.base) if model.base else None
    return loaded, base, family or model_family(model, offline=loaded.recipe.offline)


def _factors(texts: list[str]) -> dict[str, float]:
    factors = {}
    for text in texts:
        language, _, factor = text.partition("=")
        try:
            factors[language] = float(factor)
        except ValueError:
            raise ConfigError(f"--multiplier {text!r}: expected LANGUAGE=FACTOR, such as code=1.3") from None
        if not 0 < factors[language] < float("inf"):
            raise ConfigError(f"--multiplier {text!r}: the factor must be above 0")
    return factors
