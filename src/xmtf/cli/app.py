"""The edge of the command line: which verbs there are, and how an error is shown.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong input,
130 interrupted. Nouns are imported when they are called, so ``xmtf --help`` answers at once.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Annotated, Any

import orjson
import typer
from typer.core import TyperCommand, TyperOption

from xmtf import __version__
from xmtf.cli.completion import SHELL
from xmtf.cli.terminal.error_codes import EDGE
from xmtf.cli.terminal.log_level import LogLevel, Quiet, Verbose, take_log_level
from xmtf.cli.terminal.metavars import metavar_of
from xmtf.cli.terminal.printing import print_text
from xmtf.errors import DataError, LostProcessError, MissingExtraError, UnknownNameError, UserError
from xmtf.extras import extra_of
from xmtf.progress import LOG, say
from xmtf.refusals import explain_refusal, refusal_code
from xmtf.text.table import visible

__all__ = ["COMMANDS", "build_app", "main"]

# name -> (module:attribute, help)
COMMANDS = {
    "run": ("xmtf.cli.runs.run:run", "Run a recipe: every stage, from data to report."),
    "init": ("xmtf.cli.init:init", "Write a recipe, templates and rows into a new folder."),
    "data": ("xmtf.cli.data.verbs:app", "Build, inspect and tokenise mixtures."),
    "train": ("xmtf.cli.runs.train:train", "Finetune a model on packed tokens."),
    "evaluate": ("xmtf.cli.evaluate.verbs:app", "Evaluate a model zero-shot."),
    "generate": ("xmtf.cli.generate:generate", "Prompt a model: once, from a file, or interactively."),
    "analyze": ("xmtf.cli.analyze:app", "Analyze data: overlap, languages, edit distances, code."),
    "report": ("xmtf.cli.report:app", "Build tables, figures, pages and cards of results."),
    "template": ("xmtf.cli.template.verbs:app", "List, show, render and lint templates."),
    "task": ("xmtf.cli.task:app", "List and show tasks of the catalogue."),
    "plan": ("xmtf.cli.plan.verb:plan", "Estimate layout, memory and time of training on N GPUs."),
    "launch": ("xmtf.cli.runs.launch:app", "Run a recipe on a cluster, or in multiple local processes."),
    "recipe": ("xmtf.cli.recipe:app", "List, copy, show and compare recipes."),
    "model": ("xmtf.cli.model:app", "List the released models."),
    "verify": ("xmtf.cli.runs.verify:verify", "Check the files of a run folder against their checksums."),
    "checkpoint": ("xmtf.cli.checkpoint:app", "List, inspect, export and convert checkpoints."),
    "copy": ("xmtf.cli.runs.copy:copy", "Copy finished folders to and from remote storage."),
    "completion": ("xmtf.cli.completion.verb:completion", "Print the script for completion in a shell."),
    "watch": ("xmtf.cli.runs.watch:watch", "Watch runs in the browser as they progress."),
    "doctor": ("xmtf.cli.doctor:doctor", "Check what works on this machine."),
}


_PREFIX = "XMTF"
_RAW_TYPE = re.compile(r" <(?:str|path|int|float|list\[\w+\])(?: range)?>")
"""What typer shows behind the name of an argument."""
_INTERRUPTED = 130
_EDGE = SimpleNamespace(as_json=False, verb="")
"""The verb that is running, and whether it prints JSON, its errors too."""
_FAULT = "this is a bug in xmtf; please report it with the lines above"


def build_app(called: str | None) -> typer.Typer:
    """Return the command line with the ``called`` command imported and the others only listed."""
    app = typer.Typer(
        name="xmtf",
        help="Crosslingual multitask finetuning: mixtures, training, zero-shot evaluation, reports.",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,  # plain help: long options stay whole in 80 columns and in a pipe
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for name, (target, summary) in COMMANDS.items():
        command = _import(target) if name == called else _listed_only
        if isinstance(command, typer.Typer):
            for verb in command.registered_commands:
                verb.help, verb.cls = _help(verb.callback), _Verb
            app.add_typer(command, name=name)
        else:
            app.command(name, cls=_Verb, help=_help(command) if name == called else summary)(command)
    return app


class _Verb(TyperCommand):
    """A verb whose options may be in the environment: ``XMTF_EVALUATE_RANK_DEVICE`` is ``--device``; it says so."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help: what stands for a value is a word, no type; variables are in docs/command-line.md."""
        for parameter in self.params:
            if isinstance(parameter, TyperOption):
                kind = str(parameter.display_type(ctx))
                parameter.metavar = parameter.metavar or metavar_of(parameter.opts[-1], kind)
                parameter.show_envvar = bool(parameter.envvar)
        write = formatter.write_dl
        formatter.write_dl = lambda rows, *rest, **more: write(
            [(_RAW_TYPE.sub("", term), text) for term, text in rows], *rest, **more
        )
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        if "pyarrow" in sys.modules:  # what a noun does not load at once it may load later, with pandas
            _import("xmtf.pandas_later:leave_pandas_out")()
        _EDGE.verb = ctx.command_path
        for parameter in self.params:
            source = ctx.get_parameter_source(parameter.name)
            variable = parameter.resolve_envvar_value(ctx) if source and source.name == "ENVIRONMENT" else None
            if variable is not None:
                say(f"{parameter.opts[0]} {variable}: from the environment")
        return super().invoke(ctx)


def _help(function: object) -> str:
    """Return a docstring as help, each of its examples on its own line (that is what the backspace asks for)."""
    return (inspect.getdoc(function) or "").replace("\n\nExample: ", "\n\n\b\nExample: ")


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _listed_only() -> None:
    """Represent a command in the list; the real one is imported when it is called."""


def _print_version(asked: bool) -> None:
    if asked:
        print_text(f"xmtf {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_level: LogLevel = None,
) -> None:
    """Options before the command, or anywhere behind it; :func:`take_log_level` has read them by then."""


def main() -> None:
    """Run the command line; turn every error into one line and an exit code."""
    if SHELL in os.environ:
        from xmtf.cli.completion.answer import answer

        sys.exit(answer())
    _stop_on_signals()
    if not sys.stderr.isatty():  # bars of libraries stay out of logs; tqdm, transformers and the hub read these
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ["MPLBACKEND"] = "agg"  # figures are files; a notebook names a backend that may not be installed here
    if "XMTF_TETHER" in os.environ:
        from xmtf.guards.tether import follow_parent

        follow_parent()
    sys.exit(_run(sys.argv[1:]))


def _stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does; one that is ignored, as under nohup, stays ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        _say(f"{signal.Signals(number).name} received: stopping as for Ctrl-C", _INTERRUPTED)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, stop)


def _run(arguments: list[str]) -> int:
    _EDGE.as_json = "--json" in arguments
    try:
        arguments = take_log_level(arguments)
        called = next((argument for argument in arguments if not argument.startswith("-")), None)
        if called is not None and called not in COMMANDS:
            raise UnknownNameError("command", called, COMMANDS)
        if called is not None:
            _check_working_folder()
        code = build_app(called)(arguments, prog_name="xmtf", standalone_mode=False, auto_envvar_prefix=_PREFIX)
        sys.stdout.flush()  # what cannot be written is said here, not at the exit of the interpreter
    except (UserError, DataError, LostProcessError) as error:
        LOG.debug("the origin of the error", exc_info=error)
        return _say(str(error), 2 if isinstance(error, UserError) else 1, error.code, error.remedy)
    except ModuleNotFoundError as error:
        return _say_missing(error)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the program: a fault of ours is shown whole
        if hasattr(error, "show"):  # from the parser of the command line
            return _say_misuse(error)
        refused = explain_refusal(error)
        return _say_fault() if refused is None else _say(refused, 2, refusal_code(refused))
    if code == _INTERRUPTED:
        return _say("interrupted; finished work is kept: run the same command again to resume", _INTERRUPTED)
    return code if isinstance(code, int) else 0


def _check_working_folder() -> None:
    """Refuse to begin in a folder that is gone: relative paths lead nowhere, and libraries crash.

    Raises:
        UserError: It is.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder was removed; change to another folder (cd)") from None


def _say_misuse(error: Any) -> int:
    """Describe what is wrong with options and arguments; a noun without a verb prints its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
    return _say(f"{message[:1].lower()}{message[1:]}{where}", 2, "usage")


def _say_missing(error: ModuleNotFoundError) -> int:
    """Name the extra that brings a module, where one does."""
    module = (error.name or "").partition(".")[0]
    extra = extra_of(module)
    if extra is None:
        return _say_fault()
    missing = MissingExtraError(module, extra)
    return _say(str(missing), 2, missing.code, missing.remedy)


def _say_fault() -> int:
    traceback.print_exc()
    return _say(_FAULT, 1, "fault")


def _say(text: str, exit_code: int, code: str = "interrupted", remedy: str = "") -> int:
    """Print an error as a line, or under ``--json`` as an object with its code."""
    line = " ".join(part.strip() for part in text.splitlines())  # packages explain themselves in several
    if _EDGE.as_json:
        about = {"code": code, "message": line, "exit_code": exit_code, "remedy": remedy or EDGE[code][2]}
        print(orjson.dumps({"error": about}).decode(), file=sys.stderr)  # noqa: T201
    else:
        print(visible(f"xmtf: {line}"), file=sys.stderr)  # noqa: T201 - errors are for the person at the terminal
    return exit_code
