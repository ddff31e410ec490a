"""``xmtf completion``: the script that makes a shell complete."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from xmtf.cli.completion import BREAKS, LINE, SHELL
from xmtf.cli.terminal.printing import print_text

__all__ = ["completion"]

_BASH = f"""\
_xmtf() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} IFS=$'\\n' lines
    lines=($({SHELL}=bash {BREAKS}="$COMP_WORDBREAKS" {LINE}="${{COMP_LINE:0:COMP_POINT}}" "$1" 2>/dev/null))
    COMPREPLY=("${{lines[@]:1}}")
    if [[ ${{lines[0]}} == files ]]; then
        compopt -o filenames 2>/dev/null
        [[ $cur == [=:] ]] && cur=
        COMPREPLY+=($(compgen -f -- "$cur"))
    fi
    [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *[.=/] ]] && compopt -o nospace 2>/dev/null
}}
complete -F _xmtf xmtf
"""
_ZSH = f"""\
#compdef xmtf
_xmtf() {{
    local -a lines open closed
    lines=("${{(@f)$({SHELL}=zsh {LINE}="${{(j: :)words[1,CURRENT-1]}} $PREFIX" "${{words[1]}}" 2>/dev/null)}}")
    open=("${{(@M)lines[2,-1]:#*[.=/]}}")
    closed=("${{(@)lines[2,-1]:#*[.=/]}}")
    [[ -n $open ]] && compadd -S '' -- $open
    [[ -n $closed ]] && compadd -- $closed
    if [[ $lines[1] == files ]]; then
        compset -P '*='
        _files
    fi
}}
if [[ $funcstack[1] == _xmtf ]]; then _xmtf "$@"; else compdef _xmtf xmtf; fi
"""
_FISH = f"""\
function __xmtf_complete
    set -lx {SHELL} fish
    set -lx {LINE} (commandline -cp | string collect)
    set -l lines (xmtf 2>/dev/null)
    printf '%s\\n' $lines[2..-1]
    test "$lines[1]" = files; and __fish_complete_path (commandline -ct)
end
complete -c xmtf -f -a '(__xmtf_complete)'
"""


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Your shell.")]) -> None:
    """Print the script that completes verbs, options, recipes and keys in a shell.

    The shell evaluates it when it starts: eval "$(xmtf completion bash)"

    Example: xmtf completion bash
    """
    print_text({"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell], end=False)
