"""``xmtf generate``: prompt a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmtf.artefacts.ownership import new_file
from xmtf.cli.terminal.options import (
    BeginOfInputs,
    Chat,
    DecodingOptions,
    Device,
    Dtype,
    Offline,
    Overwrite,
    PrintJson,
    Quantize,
    ServerOptions,
    begin_choice,
    needs_models,
    with_options,
)
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.endings import mended_ending
from xmtf.execution import say, warn
from xmtf.recipe.schema import Tokenization
from xmtf.text.files import NotUtf8Error, read_text_file

if TYPE_CHECKING:
    from xmtf.evaluation.engine.chat import Wanted
    from xmtf.evaluation.prompting.prompter import Prompts
    from xmtf.recipe.schema import QuantizeKind
    from xmtf.recipe.sections.served import ServedModel

__all__ = ["generate"]


@needs_models
@with_options
def generate(
    *,
    prompt: Annotated[
        str | None, typer.Argument(help="The prompt; default: from --file, a pipe, or interactive input.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model folder, GGUF file, package:NAME, hub id, or openai:URL#NAME.")] = "",
    file: Annotated[
        Path | None, typer.Option(help="Text file with one prompt, or .jsonl (.csv, ...) with one per row.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON lines with the answers; default: stdout.")] = None,
    replace: Overwrite = False,
    options: DecodingOptions,
    samples: Annotated[int, typer.Option(min=1, help="Answers per prompt.")] = 1,
    end_of_inputs: Annotated[
        bool, typer.Option("--end-of-inputs", help="Add an end-of-text token after prompts, as in mT0's model card.")
    ] = False,
    begin_of_inputs: BeginOfInputs = "auto",
    chat: Chat = "auto",
    quantize: Quantize = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 42,
    server: ServerOptions,
    offline: Offline = False,
    as_json: PrintJson = False,
) -> None:
    """Prompt a model: with an argument, a file, a pipe, or interactively.

    A prompt should have a clear end (a full stop, a question mark or a colon) and name the language of the answer. A
    .jsonl file (.csv, .parquet, ...) has `prompt` (or `inputs`) in each row; answers are written along with the row's
    other fields, and with --out an interrupted run resumes where it stopped.

    Example: xmtf generate --model bigscience/bloomz-560m "Translate to English: Je t'aime."
    """
    from xmtf.sources.files.kinds import kind_of

    if not model:
        raise ConfigError("--model: give a model, such as --model bigscience/bloomz-560m (`xmtf model list`)")
    if prompt is not None and file is not None:
        raise ConfigError("give a prompt or --file, not both")
    decoding = Decoding(options.max_new_tokens, **options.section(), seed=seed)
    many = file is not None and kind_of(file) is not None
    if out is not None and not many:
        raise ConfigError("--out: needs --file PROMPTS.jsonl")
    new_file(out, replace=replace)
    text = None if many else _given(prompt, file)
    tokens = Tokenization(begin_of_inputs=begin_choice(begin_of_inputs), end_of_inputs=end_of_inputs)
    settings = server.section(model)
    if settings is not None:
        prompter = _served(model, settings, chat, dtype, quantize, tokens, offline=offline)
    else:
        prompter = _loaded(model, device, chat, dtype, quantize, tokens, offline=offline)
    if many:
        assert file is not None
        _batch(prompter, decoding, samples, file, out, replace=replace, as_json=as_json)
    elif text is not None:
        _answer(prompter, decoding, samples, text, as_json)
    else:
        _converse(prompter, decoding, samples, as_json)


def _given(prompt: str | None, file: Path | None) -> str | None:
    """Return the one prompt that was given, or None where prompts are typed in."""
    if prompt is not None:
        return prompt
    if file is not None:
        try:
            return read_text_file(file).removesuffix("\n")
        except NotUtf8Error as error:
            raise ConfigError(f"--file {error}") from None
        except OSError as error:
            raise ConfigError(f"--file {file}: cannot be read ({error})") from None
    if sys.stdin.isatty():
        return None
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"the prompt on standard input is not UTF-8 text ({error}); save it as UTF-8") from None


def _loaded(
    model: str,
    device: str,
    chat: Wanted,
    dtype: str,
    quantize: QuantizeKind | None,
    tokens: Tokenization,
    *,
    offline: bool,
) -> Prompts:
    from xmtf.evaluation.prompting.prompter import load_prompter

    prompter = load_prompter(
        model, device=device, dtype=dtype, quantize=quantize, tokens=tokens, chat=chat, offline=offline
    )
    if prompter.quantised is not None:
        from xmtf.models.quantise import quantised_line

        say(quantised_line(prompter.quantised))
    return prompter


def _served(
    model: str,
    settings: ServedModel,
    chat: str,
    dtype: str,
    quantize: str | None,
    tokens: Tokenization,
    *,
    offline: bool,
) -> Prompts:
    from xmtf.evaluation.served.prompting import open_prompts

    if quantize is not None or tokens != Tokenization():
        raise ConfigError(
            "--quantize, --end-of-inputs and --begin-of-inputs apply only to models that are loaded locally"
        )
    return open_prompts(model, settings, chat=chat, dtype=dtype, offline=offline)


def _advise(prompt: str) -> None:
    mended = mended_ending(prompt)
    if mended is not None:
        warn(f"the prompt has no clear end, so the model may continue it instead of answering; better: {mended!r}")


def _answer(prompter: Prompts, decoding: Decoding, samples: int, prompt: str, as_json: bool) -> None:
    if not prompter.in_chat:
        _advise(prompt)
    if as_json:
        from xmtf.evaluation.prompting.prompt_file import answer_fields

        answers = [answer for _, answer in prompter.answers([prompt], decoding, samples)]
        print_json({"prompt": prompt, **answer_fields(answers)})
        return
    if samples > 1:
        for _, answer in prompter.answers([prompt], decoding, samples):
            print_text(answer)
        return
    prompter.stream(prompt, decoding, lambda piece: print_text(piece, end=False))
    print_text()


def _converse(prompter: Prompts, decoding: Decoding, samples: int, as_json: bool) -> None:
    """Answer prompts as they are typed in; each stands for itself."""
    say("type a prompt and press Enter; Ctrl-D ends")
    while True:
        try:
            prompt = input("> ").strip()
        except EOFError:
            print_text()
            return
        if prompt:
            _answer(prompter, decoding, samples, prompt, as_json)


def _batch(
    prompter: Prompts,
    decoding: Decoding,
    samples: int,
    file: Path,
    out: Path | None,
    *,
    replace: bool,
    as_json: bool,
) -> None:
    from xmtf.evaluation.prompting.prompt_file import answer_file

    rows = answer_file(prompter, decoding, file, out, samples=samples, replace=replace)
    unclear = [row.prompt for row in rows if mended_ending(row.prompt) is not None]
    if unclear and not prompter.in_chat:
        example = mended_ending(unclear[0])
        warn(f"{len(unclear)} of {len(rows)} prompts have no clear end; better, for the first of them: {example!r}")
    if out is None:
        for row in rows:
            print_json(row.line)
    elif as_json:
        print_json({"file": str(out), "prompts": len(rows)})
