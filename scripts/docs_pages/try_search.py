"""Asks the search of the built site what readers ask, in a browser: ``python -m docs_pages.try_search SITE``.

Each question has the section that answers it, which has to be among the first three. Nothing else than the files of the
site may be loaded. Without Chromium nothing is asked, unless XMTF_NEEDS_BROWSER is set.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

__all__ = ["QUESTIONS", "answers"]

QUESTIONS = {
    "how do I resume after Ctrl-C?": "training.html#stopping-and-resuming",
    "why was my row dropped: null in the inputs": "mixtures.html#why-a-row-is-dropped",
    "training.micro_batch_rows": "reference/recipe/training.html#confval-training.micro_batch_rows",
    "lm-evaluation-harness acc_norm": "migrating.html#from-lm-evaluation-harness",
    "nodes without a network": "cluster.html#nodes-without-a-network",
    "merge LoRA adapters into the model": "finetune.html#merging-adapters",
    "exit code 130": "reference/exit-codes.html#exit-codes",
    "what is a mixture?": "glossary.html#term-mixture",
}
_SHOWN = 3


def answers(site: Path, program: str) -> dict[str, list[str]]:
    """Return question -> links of the first sections that the search of a site shows.

    Raises:
        RuntimeError: The page asked for something elsewhere, or reported an error.
    """
    from playwright.sync_api import sync_playwright

    found, wrong = {}, []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: request.url.startswith("file:") or wrong.append(request.url))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        for question in QUESTIONS:
            page.goto(f"{(site / 'search.html').resolve().as_uri()}?q={quote(question)}")
            page.wait_for_selector("#search-results a")
            links = page.query_selector_all("#search-results a")[:_SHOWN]
            found[question] = [link.get_attribute("href") or "" for link in links]
        browser.close()
    if wrong:
        raise RuntimeError(f"the search of {site} loaded or reported: {'; '.join(map(str, wrong))}")
    return found


def main(site: Path) -> int:
    """Ask, and print what was not answered."""
    programs = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    if not programs:
        print("no Chromium on PATH: the search was not tried")
        return 1 if os.environ.get("XMTF_NEEDS_BROWSER") else 0
    found = answers(site, programs[0])
    missed = {question: shown for question, shown in found.items() if QUESTIONS[question] not in shown}
    for question, shown in missed.items():
        print(f"{question!r}: {QUESTIONS[question]} is not among {', '.join(shown)}")
    print(f"the search answers {len(found) - len(missed)} of {len(found)} questions")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
