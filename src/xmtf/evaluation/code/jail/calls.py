"""A Python program, and the tests that call it over pipes. Its text is handed to an interpreter inside the sandbox.

The program and its tests are two processes. Arguments and results travel as JSON; what JSON lacks is an object with
one key. So only plain values exist on the way: what arrives is made of Python's own types, however the sender's classes
are called and whatever their ``__eq__`` answers. The program never has the tests, the token, or a descriptor of the
process that tests: all that it can do is to answer calls.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

__all__ = ["NotPlainError", "ProgramError", "decode", "encode"]

_IN, _OUT = 3, 4
"""Descriptors: messages come and go here, in both processes."""
_MOST_BYTES = 1 << 26
_SAFE_INTEGER = 1 << 53


class NotPlainError(Exception):
    """A value that does not consist of plain values, or no message."""


class ProgramError(Exception):
    """What the program raised, where it is no exception of Python's own."""


def encode(value: Any) -> Any:
    """Return what stands for a value in JSON.

    >>> encode((1, {2.5: {"a"}}))
    {'t': [1, {'d': [[2.5, {'s': ['a']}]]}]}

    Raises:
        NotPlainError: It does not consist of plain values.
    """
    if value is None or value is True or value is False:
        return value
    for kind, plain in _PLAIN.items():
        if isinstance(value, kind):
            return plain(value)
    if isinstance(value, type) and vars(builtins).get(type.__getattribute__(value, "__name__")) is value:
        return {"k": type.__getattribute__(value, "__name__")}
    for many, name in _MANY.items():
        if isinstance(value, many):
            items = [encode(each) for each in many.__iter__(value)]
            return {name: items} if name else items
    if hasattr(type(value), "__next__") or isinstance(value, _VIEWS):
        return {"n": [encode(each) for each in value]}
    raise NotPlainError(f"a {type(value).__name__} is not a plain value")


def _whole(value: int) -> Any:
    number = int.__index__(value)
    return number if -_SAFE_INTEGER < number < _SAFE_INTEGER else {"i": hex(number)}


_PLAIN: dict[type, Callable[[Any], Any]] = {
    int: _whole,
    float: float.__float__,
    str: lambda text: "".join(str.__iter__(text)),
    bytes: lambda value: {"b": bytes.hex(value)},
    bytearray: lambda value: {"y": bytearray.hex(value)},
    complex: lambda value: {"c": [complex.__complex__(value).real, complex.__complex__(value).imag]},
    range: lambda value: {"r": [_whole(value.start), _whole(value.stop), _whole(value.step)]},
    dict: lambda value: {"d": [[encode(key), encode(each)] for key, each in dict.items(value)]},
}
_MANY: dict[Any, str] = {list: "", tuple: "t", set: "s", frozenset: "f"}
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))


def decode(told: object) -> Any:
    """Return the value that :func:`encode` described.

    Raises:
        NotPlainError: It describes none.
    """
    if isinstance(told, list):
        return [decode(each) for each in told]
    if not isinstance(told, dict):
        return told
    (name, value), *more = told.items() or [("", None)]
    if more or name not in _READERS or not isinstance(value, (str, list)):
        raise NotPlainError("not a value")
    try:
        return _READERS[name](value)
    except (TypeError, ValueError):
        raise NotPlainError("not a value") from None


_READERS: dict[str, Callable[[Any], Any]] = {
    "i": lambda text: int(text, 16),
    "b": bytes.fromhex,
    "y": bytearray.fromhex,
    "c": lambda parts: complex(*parts),
    "r": lambda parts: range(*map(decode, parts)),
    "t": lambda items: tuple(map(decode, items)),
    "s": lambda items: set(map(decode, items)),
    "f": lambda items: frozenset(map(decode, items)),
    "d": lambda pairs: {decode(key): decode(value) for key, value in pairs},
    "n": lambda items: iter([decode(each) for each in items]),
    "k": lambda name: _builtin_type(name),
}


def _builtin_type(name: str) -> type:
    found = getattr(builtins, name, None)
    if not isinstance(found, type):
        raise NotPlainError(f"{name} is not a built-in type of Python")
    return found


def _send(message: object) -> None:
    data = json.dumps(message).encode()
    data = len(data).to_bytes(8, "little") + data
    while data:
        data = data[os.write(_OUT, data) :]


def _receive() -> Any:
    size = int.from_bytes(_read(8), "little")
    if size > _MOST_BYTES:
        raise NotPlainError("a message of more than 64 MiB")
    try:
        return json.loads(_read(size))
    except (ValueError, RecursionError):
        raise NotPlainError("not a message") from None


def _read(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(_IN, min(size - len(data), 1 << 20))
        if not piece:
            raise ProgramError("the program ended before it answered")
        data += piece
    return bytes(data)


def _serve() -> NoReturn:
    """The program: load it, then answer calls of its functions, each with its value or with its error."""
    module = types.ModuleType("program")
    sys.modules["program"] = module
    try:
        exec(compile(_receive(), "<program>", "exec"), vars(module))
    except BaseException as error:  # whatever it raises, SystemExit too, is its failure
        _send({"error": _said(error)})
        os._exit(1)
    _send({"value": None})
    while True:
        name, arguments, named = _receive()
        try:
            answer = {"value": encode(getattr(module, name)(*decode(arguments), **decode(named)))}
        except BaseException as error:
            answer = {"error": _said(error)}
        _send(answer)


def _said(error: BaseException) -> list[str]:
    try:
        text = str(error)[:400]
    except BaseException as worse:  # an exception of the program may raise from its own text
        text = type(worse).__name__
    return [type(error).__name__, text]


def _call(name: str, *arguments: object, **named: object) -> Any:
    _send([name, encode(arguments), encode(named)])
    return _answered()


def _answered() -> Any:
    answer = _receive()
    if isinstance(answer, dict) and len(answer) == 1 and "value" in answer:
        return decode(answer["value"])
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, list) or len(error) != 2:
        raise NotPlainError("not an answer")
    kind, text = map(str, error)
    found = getattr(builtins, kind, None)
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, UnicodeError):
        raise found(text)
    raise ProgramError(f"{kind}: {text}")


def _proxy(name: str) -> Callable[..., Any]:
    return lambda *arguments, **named: _call(name, *arguments, **named)


def _test(told: Mapping[str, Any]) -> None:
    """The tests: give the program its text, then run them with its functions replaced by calls."""
    _send(told["program"])
    _answered()
    space: dict[str, Any] = {"__name__": "tests"}
    exec(compile(told["setup"], "<set-up>", "exec"), space)
    space.update({name: _proxy(name) for name in told["names"]})
    exec(compile(told["tests"], "<tests>", "exec"), space)


def _together(told: Mapping[str, Any]) -> None:
    """Program and tests in one process."""
    module = types.ModuleType("program")
    sys.modules["program"] = module
    exec(compile(told["program"], "<program>", "exec"), module.__dict__)
    exec(compile(told["tests"], "<tests>", "exec"), module.__dict__)


def _judge(run: Callable[[Mapping[str, Any]], None]) -> NoReturn:
    """Run tests; print the token when their last line has run."""
    told = json.loads(sys.stdin.buffer.read())
    token = told.pop("token")
    try:
        run(told)
    except BaseException as error:
        kind, text = _said(error)
        os.write(
            2,
            (text if isinstance(error, ProgramError) else ": ".join(filter(None, (kind, text)))).encode(
                errors="replace"
            ),
        )
        os._exit(1)
    os.write(1, token.encode())
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve()
    _judge(_test if sys.argv[1] == "test" else _together)
