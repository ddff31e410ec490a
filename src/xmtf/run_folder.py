"""The folder of a run: every path in it has its name here and nowhere else.

::

    runs/<name>/
      recipe.yaml           resolved, every key
      mixture/              tokens/ (tokenizer/)      initial/
      checkpoints/          step-<n>/, tokenizer/, and `stop`, which asks training to stop
      model/                results/before|after/     report/
      log.jsonl             tracking/                 slurm/          figures/    overlap/
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["HUB_RESULTS", "LABELS", "PAGE", "RunFolder", "figures_of", "stop_file", "tokenizer_of"]

LABELS = ("before", "after")
"""Evaluations of a run, in order: the model as it was, and as it became."""
HUB_RESULTS = ".eval_results/xmtf.yaml"
"""Results in the hub's own format, next to the card of a model."""
PAGE = "index.html"
"""The page of a report."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names what lies in the folder of a run, whether it is there yet or not."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe; a folder that has one is a run's."""
        return self.path / "recipe.yaml"

    @property
    def is_run(self) -> bool:
        """Whether the folder is one of a run."""
        return self.recipe.is_file()

    @property
    def log(self) -> Path:
        """Events, one a line."""
        return self.path / "log.jsonl"

    @property
    def mixture(self) -> Path:
        """Prompted examples."""
        return self.path / "mixture"

    @property
    def tokens(self) -> Path:
        """Token files, with their tokenizer."""
        return self.path / "tokens"

    @property
    def initial(self) -> Path:
        """Random weights that training starts from, where the recipe gives a shape."""
        return self.path / "initial"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints, with the tokenizer of what they were trained on."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The finetuned model."""
        return self.path / "model"

    @property
    def all_results(self) -> Path:
        """Folder of the results folders."""
        return self.path / "results"

    @property
    def overlap(self) -> Path:
        """Evaluation items that were found in the mixture, where somebody looked."""
        return self.path / "overlap"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report"

    @property
    def figures(self) -> Path:
        """Figures that were drawn by themselves."""
        return figures_of(self.path)

    @property
    def tracking(self) -> Path:
        """What experiment trackers write."""
        return self.path / "tracking"

    @property
    def flight(self) -> Path:
        """What torch's flight recorders held when processes lost each other; where all went well there is none."""
        return self.path / ".flight"

    @property
    def slurm(self) -> Path:
        """Job scripts."""
        return self.path / "slurm"

    def results(self, label: str) -> Path:
        """Return the results folder of an evaluation: ``before``, ``after`` or a name of the user's."""
        return self.all_results / label


def tokenizer_of(folder: Path) -> Path:
    """Return the tokenizer that is next to token files or checkpoints."""
    return folder / "tokenizer"


def figures_of(folder: Path) -> Path:
    """Return the figures that lie in the folder of a run or of a report, or in the given one."""
    return folder / "figures"


def stop_file(checkpoints: Path) -> Path:
    """Return the file that stops training, after the step available and with a checkpoint, when it appears."""
    return checkpoints / "stop"
