"""Which language an indented block of a page is written in: such blocks do not name one."""

from __future__ import annotations

import re

__all__ = ["language_of"]

_PROGRAMS = (
    "xmtf|pip|python|python3|git|make|export|echo|torchrun|ray|trl|curl|touch|cd|sh|bash|hf|mergekit-yaml|squeue|scancel|"
    "docker|uv|scripts/[\\w.-]+|frontend|npm|cat|vllm|transformers|llama-server"
)
_RULES = (
    ("bash", rf"^(?:#SBATCH|\$ |(?:[A-Z_]+=\S+ +)*(?:{_PROGRAMS})\b|[A-Z_]+=\S+$)"),
    ("toml", r"^\[[\w.\"-]+\]$"),
    ("python", r"^(?:from \w+|import \w+|def \w+|class \w+|@\w+|\w+ = \w+[.(])"),
    ("json", r"^\{\""),
    ("yaml", r"^(?:- )?(?:\{\w+:|[\w.]+:(?: |$))"),
)


def language_of(text: str) -> str:
    r"""Return the name of a lexer for a block of code, judged by its first line that is no comment.

    >>> language_of("xmtf run demo    # a run"), language_of("mixture:\n  cap_examples: 3"), language_of("id   585")
    ('bash', 'yaml', 'none')
    """
    lines = [line for line in text.splitlines() if line.strip() and not re.match(r"#\s", line)]
    for language, pattern in _RULES:
        if lines and re.match(pattern, lines[0].strip()):
            return language
    return "none"
