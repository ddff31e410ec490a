"""What carrying out a recipe would replace of finished work in its run folder; asked before anything is written.

A model, its results and the checkpoints of an unfinished training are replaced with ``--replace`` alone. More steps of
the same training lose nothing, nor does a report that is rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from xmtf.models.files.references import plain_reference
from xmtf.execution import say
from xmtf.files import MANIFEST, Manifest, discard_folder, is_finished, read_manifest
from xmtf.artefacts.manifest_parts import ModelDetails, TrainCounts
from xmtf.artefacts.ownership import free_name, refuse_foreign, refuse_loss, refuse_unknown, stage_of, write_marker
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.effects import marked, stage_fingerprint
from xmtf.results.files import JOURNALS
from xmtf.run_folder import LABELS, tokenizer_of

__all__ = ["Loss", "losses", "prepare"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Finished work that would be replaced.

    Attributes:
        what: In words.
        path: Its folder.
        whole: Whether all of the folder goes; of results whose model stays, answers are kept.
    """

    what: str
    path: Path
    whole: bool = True

    def refuse_foreign(self) -> None:
        """Refuse where somebody put something into what would go.

        Raises:
            ConfigError: Names it.
        """
        if self.path.name.startswith("step-"):
            from xmtf.training.checkpoint.state import STATE, read_state

            refuse_unknown(self.path, {*read_state(self.path).files, STATE})
        elif self.whole:
            refuse_foreign(self.path, lambda name: fnmatch(name, JOURNALS))

    def discard(self) -> None:
        """Take it away, so that nothing of it stands besides what replaces it."""
        if self.whole:
            discard_folder(self.path)
        else:
            (self.path / MANIFEST).unlink(missing_ok=True)


def prepare(loaded: LoadedRecipe, *, replace: bool, tokens: Path | None = None) -> None:
    """Refuse to lose finished work in the run folder, or take it away where that is meant.

    Args:
        loaded: The recipe.
        replace: Whether it is meant.
        tokens: Token files where only training is done on them; None where all stages are.

    Raises:
        ConfigError: Names what would be lost, and another run folder.
    """
    folder = loaded.run_folder
    found = list(losses(loaded, tokens))
    if not replace:
        refuse_loss(folder, [loss.what for loss in found], f"run_folder={free_name(folder)}")
    for loss in found:
        loss.refuse_foreign()
    for loss in found:
        say(f"{loss.path}: {loss.what} is replaced")
        if loss.path.parent == loaded.run.checkpoints and stage_of(loss.path.parent) is None:
            write_marker(loss.path.parent, "checkpoints")  # those of earlier versions count by what goes now
        loss.discard()


def losses(loaded: LoadedRecipe, tokens: Path | None = None) -> Iterator[Loss]:
    """Yield what would be lost; see :func:`prepare`."""
    run = loaded.run
    model = _manifest(run.model)
    checkpoints = _whole_checkpoints(run.checkpoints)
    results = {label: found for label in LABELS if (found := _manifest(run.results(label)))}
    if model is None and not checkpoints and (tokens is not None or not results):
        return
    training = _Training.of(loaded, tokens)
    kept = model is not None and training.keeps(model, run.model)
    if model is not None and not kept:
        yield Loss(f"the finished model (step {TrainCounts.of(model, run.model).step:,})", run.model)
    if model is None or training.fingerprint != model.fingerprint:
        yield from _checkpoints(checkpoints, training)
    if tokens is None:
        yield from _results(loaded, results, training, kept=kept)


@dataclass(frozen=True, slots=True)
class _Training:
    """What the recipe's training would be called; without a name where what it reads is yet to be made.

    Attributes:
        name: Names it among checkpoints.
        fingerprint: Of the model.
        steps: How far it goes, or None for a budget of tokens.
        tokens: Its budget of tokens, or None.
        start: The model to start from, or None where it is yet to be made.
    """

    name: str
    fingerprint: str
    steps: int | None
    tokens: int | None
    start: str | None

    @classmethod
    def of(cls, loaded: LoadedRecipe, tokens: Path | None) -> _Training:
        from xmtf.runs.measures import suite_measures
        from xmtf.training.naming import identify_training

        section = loaded.recipe.training
        where = tokens or loaded.run.tokens
        start = loaded.recipe.model.base
        if tokens is None and not _stands(where, _tokens_fingerprint(loaded)):
            return cls("", "", section.steps, section.tokens, start)
        if start is None:
            start = str(loaded.run.initial) if _initial_stands(loaded, where) else None
        if start is None:
            return cls("", "", section.steps, section.tokens, None)
        identity = identify_training(loaded, tokens=where, initial=start, measures=suite_measures(loaded, where))
        return cls(identity.name, identity.fingerprint, section.steps, section.tokens, start)

    def keeps(self, model: Manifest, folder: Path) -> bool:
        """Return whether a finished model stays, or training resumes from it."""
        if model.fingerprint == self.fingerprint:
            return True
        if not self.name or ModelDetails.of(model, folder).training != self.name:
            return False
        done = TrainCounts.of(model, folder)
        return self.steps >= done.step if self.steps is not None else (self.tokens or 0) >= done.tokens


def _whole_checkpoints(folder: Path) -> list[Path]:
    if not any(folder.glob("step-*")):
        return []
    from xmtf.training.checkpoint.checkpoint import list_checkpoints

    return list_checkpoints(folder)


def _checkpoints(found: list[Path], training: _Training) -> Iterator[Loss]:
    """Yield the checkpoints that another training wrote, or the same one beyond the last step."""
    from xmtf.training.checkpoint.state import read_state

    others = []
    for path in found:
        state = read_state(path)
        beyond = training.steps is not None and state.progress.step > training.steps
        if state.fingerprint != training.name or beyond:
            others.append(path)
    for path in others:
        yield Loss(f"the checkpoint {path.name} of another training", path)


def _results(loaded: LoadedRecipe, results: dict[str, Manifest], training: _Training, *, kept: bool) -> Iterator[Loss]:
    from xmtf.evaluation.run import depends_on
    from xmtf.evaluation.suites.setup import setup_of, suite_slices

    if not results:
        return
    setup = setup_of(loaded)
    slices = suite_slices(setup)
    for label, manifest in results.items():
        folder = loaded.run.results(label)
        what = f"the results {label} training"
        model = training.start if label == "before" else str(loaded.run.model)
        if model is None or (label == "after" and not kept):
            yield Loss(what, folder)
        elif slices:
            recipe, inputs = depends_on(setup, slices, model, label)
            if label == "after":  # of a training that goes on the model will be another one
                inputs |= {"model": manifest.inputs.get("model", "")}
            if stage_fingerprint("evaluation", recipe, inputs) != manifest.fingerprint:
                yield Loss(what, folder, whole=False)


def _tokens_fingerprint(loaded: LoadedRecipe) -> str:
    from xmtf.mixture import plan_mixture
    from xmtf.models import model_family
    from xmtf.tokens.build.build import tokens_fingerprint

    config, offline = loaded.recipe.model, loaded.recipe.offline
    base = plain_reference(config.base) if config.base else None
    family = model_family(config, offline=offline)
    return tokens_fingerprint(loaded, plan_mixture(loaded).fingerprint, family=family, base=base)


def _initial_stands(loaded: LoadedRecipe, tokens: Path) -> bool:
    from xmtf.tokens import load_tokenizer

    inputs = {"tokenizer": load_tokenizer(tokenizer_of(tokens)).fingerprint}
    wanted = stage_fingerprint("initial", marked(loaded.recipe, "initial", loaded.recipe), inputs)
    return _stands(loaded.run.initial, wanted)


def _stands(folder: Path, fingerprint: str) -> bool:
    return (folder / MANIFEST).is_file() and is_finished(folder, fingerprint)


def _manifest(folder: Path) -> Manifest | None:
    return read_manifest(folder) if (folder / MANIFEST).is_file() else None
