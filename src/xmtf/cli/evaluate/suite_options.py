"""What the verbs that measure a model have in common: the model, the suites, and how prompts become ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from xmtf.cli.terminal.options import BeginOfInputs, Chat, Device, Dtype, Offline, Quantize, Replace

__all__ = ["BatchTokens", "Model", "Seed", "SuiteOptions"]

Model = Annotated[
    str, typer.Option(help="Model folder, GGUF file, package:NAME, hub id, or openai:URL#NAME behind a server.")
]
BatchTokens = Annotated[int | None, typer.Option(min=64, help="Tokens per batch; default: by available memory.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the choice of rows.")]


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """What is measured, and how prompts become ids: the options that ``rank`` and ``generation`` share."""

    model: Model
    suite: Annotated[
        str, typer.Option(help="Suites, tasks or patterns, such as L1 or xnli,xcopa (xmtf evaluate suites).")
    ]
    out: Annotated[Path, typer.Option(help="Folder for scores.jsonl, items/ and samples.jsonl.")]
    replace: Replace = False
    limit: Annotated[int | None, typer.Option(min=1, help="Rows per split: a seeded sample.")] = None
    split: Annotated[str | None, typer.Option(help="Split to evaluate on; default: the catalogue's.")] = None
    templates: Annotated[Path | None, typer.Option(help="Folder of promptsource collections to prompt with.")] = None
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Render templates as promptsource did, including its bugs.")
    ] = False
    prompt_languages: Annotated[str, typer.Option(help="Languages of the prompts, such as en or same.")] = "*"
    catalogue: Annotated[list[Path] | None, typer.Option(help="Additional catalogue file; may be repeated.")] = None
    pins: Annotated[Path | None, typer.Option(help="File of pinned commits of datasets (xmtf data pin).")] = None
    shots: Annotated[int, typer.Option(min=0, max=100, help="Few-shot examples before each prompt.")] = 0
    shot_split: Annotated[
        str | None, typer.Option(help="Split that the shots come from; default: the catalogue's.")
    ] = None
    shot_choice: Annotated[
        str,
        typer.Option(metavar="fixed|first|nearest", help="How shots are chosen; nearest: most similar to the item."),
    ] = "fixed"
    shot_language: Annotated[str, typer.Option(help="Language of the shots: same, or a code.")] = "same"
    space: Annotated[
        bool | None, typer.Option("--space/--no-space", help="Put a space before choices; default: by model family.")
    ] = None
    begin_of_inputs: BeginOfInputs = "auto"
    chat: Chat = "auto"
    max_prompt_tokens: Annotated[int | None, typer.Option(min=1, help="Truncate longer prompts.")] = None
    truncation_side: Annotated[
        str, typer.Option(metavar="left|right", help="Side on which long prompts are truncated.")
    ] = "left"
    batch_tokens: BatchTokens = None
    device: Device = "auto"
    dtype: Dtype = "auto"
    quantize: Quantize = None
    tp: Annotated[int, typer.Option(min=1, help="Processes of torchrun that hold slices of every matrix.")] = 1
    pp: Annotated[int, typer.Option(min=1, help="Processes of torchrun that hold consecutive blocks (BLOOM).")] = 1
    seed: Seed = 42
    offline: Offline = False

    def selection(self) -> dict[str, Any]:
        """Return what is taken of every task, as keys of a suite's ``tasks`` in a recipe."""
        languages = tuple(name.strip() for name in self.prompt_languages.split(","))
        splits = (self.split,) if self.split else ()
        return {"limit_rows": self.limit, "prompt_languages": languages, "splits": splits}

    def shown(self) -> dict[str, Any] | None:
        """Return the shots of each suite, as the key ``shots`` of a recipe's suite."""
        if not self.shots:
            return None
        return {
            "number": self.shots,
            "split": self.shot_split,
            "choice": self.shot_choice,
            "language": self.shot_language,
        }

    def section(self) -> dict[str, Any]:
        """Return how prompts are cut and batched, and the model over processes, as keys of ``evaluation``."""
        keys = {
            name: getattr(self, name)
            for name in ("max_prompt_tokens", "truncation_side", "batch_tokens", "dtype", "chat", "quantize")
        }
        return keys if self.tp * self.pp == 1 else keys | {"parallel": {"tp": self.tp, "pp": self.pp}}
