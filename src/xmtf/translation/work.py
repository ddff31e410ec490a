"""Units through an engine: glossary, memory, then each style of marks, then the text between marks, then a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from xmtf.templates.languages.segments import Part, Role
from xmtf.translation.engines.protocol import Brief, Briefed, Engine
from xmtf.translation.gates import letters, problem_of, tidy
from xmtf.translation.glossary import NO_GLOSSARY, Glossary
from xmtf.translation.marks import STYLES, chunks
from xmtf.translation.memory import Memory, Source

__all__ = ["Asked", "Outcome", "Work"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A text that is to be translated.

    Attributes:
        role: What it is in its template.
        parts: Text and marks.
    """

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a text.

    Attributes:
        parts: Its translation, or None where it is for a person.
        how: ``glossary``, ``memory``, a style of marks, or ``split``.
        problem: Why the last try failed.
    """

    parts: tuple[Part, ...] | None
    how: str = ""
    problem: str = ""


@dataclass(slots=True)
class _Try:
    """What was accepted for a text, and the (source, answer) letters that it rests on."""

    outcome: Outcome
    answers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Work:
    """Translates texts into one language.

    Attributes:
        engine: The engine.
        source: Language of the texts.
        target: Language to translate into.
        memory: What was answered before.
        glossary: Terms that hold.
        task: What the engine is told that the texts are about.
        problems: Messages of the engine's failures, each once.
    """

    engine: Engine
    source: str
    target: str
    memory: Memory
    glossary: Glossary = NO_GLOSSARY
    task: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def prompt(self) -> str:
        """Hash of what the engine is told alongside the texts, and of the glossary."""
        told = self.engine.prompt if isinstance(self.engine, Briefed) else ""
        return "+".join(part for part in (told, self.glossary.hash) if part)

    def pending(self, texts: Iterable[Asked]) -> list[Asked]:
        """Return what would go out: distinct texts that neither glossary nor memory know."""
        return [text for text in dict.fromkeys(texts) if self._known(text) is None]

    def translate(self, texts: Iterable[Asked]) -> dict[Asked, Outcome]:
        """Return what comes of each text; what passes every gate is remembered.

        Raises:
            TranslationError: The engine does not answer at all.
        """
        found = {text: known for text in dict.fromkeys(texts) if (known := self._known(text)) is not None}
        tries: dict[Asked, _Try] = {}
        by_role: dict[Role, list[Asked]] = defaultdict(list)
        for text in self.pending(texts):
            by_role[text.role].append(text)
        for role, some in by_role.items():
            tries |= self._ask(self._briefed(role, some), some)
        same, is_echo = _same_answers(tries.values()), _is_echo(tries.values())
        for text, tried in tries.items():
            if tried.outcome.parts is not None and any(answer in same for _, answer in tried.answers):
                tried.outcome = Outcome(None, problem="the engine gives the same answer for different texts")
            elif is_echo and all(answer == said for said, answer in tried.answers):
                tried.outcome = Outcome(None, problem="the answer is the source")
            if tried.outcome.parts is not None:
                self.memory.put(self._key(text), tried.outcome.parts)
            found[text] = tried.outcome
        return found

    def _known(self, text: Asked) -> Outcome | None:
        term = self.glossary.look_up(text.parts)
        if term is not None:
            return Outcome(term, "glossary")
        remembered = self.memory.get(self._key(text))
        return None if remembered is None else Outcome(remembered, "memory")

    def _key(self, text: Asked) -> Source:
        role = text.role if isinstance(self.engine, Briefed) else ""
        engine = self.engine
        return Source(engine.name, engine.version, self.prompt, self.source, self.target, role, text.parts)

    def _briefed(self, role: Role, texts: Sequence[Asked]) -> Engine:
        if not isinstance(self.engine, Briefed):
            return self.engine
        said = " ".join(part for text in texts for part in text.parts if isinstance(part, str))
        return self.engine.briefed(Brief(role, self.task, self.glossary.within(said)))

    def _ask(self, engine: Engine, texts: Sequence[Asked]) -> dict[Asked, _Try]:
        done: dict[Asked, _Try] = {}
        failed: dict[Asked, str] = {}
        for name in engine.styles:
            left = [text for text in texts if text not in done and (_has_marks(text) or name == engine.styles[0])]
            written = {text: code for text in left if (code := STYLES[name].encode(text.parts)) is not None}
            answers = self._answers(engine, list(dict.fromkeys(written.values())))
            for text, code in written.items():
                answer = answers.get(code)
                if answer is None:
                    failed[text] = "no answer"
                    continue
                parts = tidy(text.parts, STYLES[name].decode(answer))
                failed[text] = problem_of(text.parts, parts, self.target)
                if not failed[text]:
                    done[text] = _Try(Outcome(parts, name), ((_letters(text.parts), _letters(parts)),))
        done |= self._split(engine, [text for text in texts if text not in done and _has_marks(text)])
        missing = {text: failed.get(text, "no placeholder style fits") for text in texts if text not in done}
        return done | {text: _Try(Outcome(None, problem=problem)) for text, problem in missing.items()}

    def _split(self, engine: Engine, texts: Sequence[Asked]) -> dict[Asked, _Try]:
        """Translate the text between marks by itself; order and spaces stay."""
        style = STYLES[engine.styles[0]]
        said = dict.fromkeys(text for asked in texts for _, text, _ in chunks(asked.parts) if letters(text))
        written = {text: code for text in said if (code := style.encode((text,))) is not None}
        answers = self._answers(engine, list(dict.fromkeys(written.values())))
        translated: dict[str, str] = {}
        for text, code in written.items():
            parts = tidy((text,), style.decode(answers[code])) if code in answers else ()
            if parts and not problem_of((text,), parts, self.target):
                translated[text] = str(parts[0])
        done = {}
        for asked in texts:
            between = chunks(asked.parts)
            if all(text in translated or not letters(text) for _, text, _ in between):
                new = iter(f"{left}{translated.get(text, text)}{right}" for left, text, right in between)
                parts = tuple(next(new) if isinstance(part, str) else part for part in asked.parts)
                pairs = tuple((letters(text), letters(translated[text])) for _, text, _ in between if letters(text))
                done[asked] = _Try(Outcome(parts, "split"), pairs)
        return done

    def _answers(self, engine: Engine, texts: list[str]) -> Mapping[str, str]:
        """Return the engine's answer to each text; none where it gives another number of answers than texts."""
        if not texts:
            return {}
        answers = engine.translate(texts, self.source, self.target)
        if len(answers) == len(texts):
            return dict(zip(texts, answers, strict=True))
        problem = f"{engine.name}: {len(answers)} answers to {len(texts)} texts; all are discarded"
        if problem not in self.problems:
            self.problems.append(problem)
        return {}


def _has_marks(text: Asked) -> bool:
    return any(isinstance(part, int) for part in text.parts)


def _letters(parts: Sequence[Part]) -> str:
    return letters(" ".join(part for part in parts if isinstance(part, str)))


def _is_echo(tries: Iterable[_Try]) -> bool:
    """Whether half of the answers that passed are their sources: one word alone may be the same in two languages."""
    pairs = {pair for each in tries for pair in each.answers}
    return 2 * sum(text == answer for text, answer in pairs) >= len(pairs) > 0


def _same_answers(tries: Iterable[_Try]) -> set[str]:
    """Return answers that stand for different texts: for four or more, or for half of what was asked."""
    pairs = {pair for each in tries for pair in each.answers}
    counts = Counter(answer for _, answer in pairs)
    total = len({text for text, _ in pairs})
    return {answer for answer, count in counts.items() if count >= 2 and (count >= 4 or 2 * count >= total)}
