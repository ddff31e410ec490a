"""Whether a prompt clearly ends.

A model that continues text cannot know that a prompt is over when its last sentence is open: after ``Translate to
English: Je t'aime`` it may well continue in French. With a full stop, a question mark or a colon (``... Je t'aime.
Translation:``) it answers.
"""

from __future__ import annotations

from xmtf.languages.codes import SENTENCE_MARKS, main_script

__all__ = ["mended_ending"]

_CLEAR = SENTENCE_MARKS + ":：;；|"
_CLOSING = "\"'»”’)]}」』）】*`"
_STOPS = {
    "Hani": "。", "Hira": "。", "Kana": "。", "Deva": "।", "Beng": "।", "Guru": "।", "Orya": "।", "Ethi": "።",
    "Mymr": "။", "Khmr": "។",
}  # fmt: skip
_ASKING = {
    "what", "who", "whom", "whose", "why", "how", "when", "where", "which", "is", "are", "was", "were", "do", "does",
    "did", "can", "could", "will", "would", "should",
}  # fmt: skip


def mended_ending(prompt: str) -> str | None:
    """Return a prompt with a clear end, or None where it has one.

    >>> mended_ending("Translate to English: Je t'aime")
    "Translate to English: Je t'aime."
    >>> mended_ending("Translate to English: Je t'aime.") is None
    True
    """
    text = prompt.rstrip()
    if not text or (text == prompt and text.rstrip(_CLOSING)[-1:] in _CLEAR):
        return None
    if text.rstrip(_CLOSING)[-1:] in _CLEAR:
        return text
    sentence = _last_sentence(text)
    if sentence.split(maxsplit=1)[0].lower() in _ASKING:
        return f"{text}?"
    return text + _STOPS.get(main_script(sentence[-20:]), ".")


def _last_sentence(text: str) -> str:
    start = max(text.rfind(mark, 0, -1) for mark in f"{SENTENCE_MARKS}\n")
    return text[start + 1 :].strip() or text
