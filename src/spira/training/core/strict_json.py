"""JSON (RFC 8259) that remembers where things stand: each value's line by its path, no duplicate keys.

The standard library's parser takes duplicate keys and NaN, and forgets the lines that a person needs to find a mistake.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from spira.kernel.errors import InvalidInput, Problem

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}
_MAX_DEPTH = 64
_STRINGS = json.JSONDecoder()


@dataclass(frozen=True, kw_only=True)
class Document:
    """A parsed value, and the line (from 1) on which the value at each path begins."""

    value: Any
    lines: dict[Path, int]

    def line_of(self, path: Path) -> int:
        """The line of `path`, or of the nearest value around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str, *, name: str) -> Document:
    """Raises InvalidInput that names the file `name` and the line."""
    parser = _Parser(text=text.removeprefix("\ufeff"), name=name)
    value, end = parser.value(parser.skip(0), (), depth=0)
    if parser.skip(end) != len(parser.text):
        raise parser.error(end, "something follows the document's end")
    if parser.duplicates:
        raise InvalidInput.of(parser.duplicates)
    return Document(value=value, lines=parser.lines)


@dataclass(kw_only=True)
class _Parser:
    text: str
    name: str
    lines: dict[Path, int] = field(default_factory=dict)
    duplicates: list[Problem] = field(default_factory=list)

    def skip(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return at if match is None else match.end()

    def error(self, at: int, what: str, hint: str = "") -> InvalidInput:
        line = self.text.count("\n", 0, self.skip(at)) + 1
        return InvalidInput.of([Problem(where=f"{self.name}, line {line}", what=what, hint=hint)])

    def value(self, at: int, path: Path, *, depth: int) -> tuple[Any, int]:
        if depth > _MAX_DEPTH:
            raise self.error(at, f"is nested more than {_MAX_DEPTH} levels deep")
        self.lines[path] = self.text.count("\n", 0, at) + 1
        start = self.text[at : at + 1]
        if start == "{":
            return self.object(at + 1, path, depth=depth)
        if start == "[":
            return self.array(at + 1, path, depth=depth)
        if start == '"':
            return self.string(at)
        return self.scalar(at)

    def object(self, at: int, path: Path, *, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self.skip(at)
        if self.text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self.text[at : at + 1] != '"':
                raise self.error(at, 'expected a key in "quotes"', self.hint(at))
            line = self.text.count("\n", 0, at) + 1
            key, at = self.string(at)
            at = self.expect(":", at)
            if key in found:
                where = f"{self.name}, line {line}, {'.'.join(map(str, (*path, key)))}"
                self.duplicates.append(Problem(where=where, what="is there twice", hint="keep one"))
            found[key], at = self.value(self.skip(at), (*path, key), depth=depth + 1)
            at, ended = self.separator(at, "}")
            if ended:
                return found, at

    def array(self, at: int, path: Path, *, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = self.skip(at)
        if self.text[at : at + 1] == "]":
            return found, at + 1
        while True:
            item, at = self.value(at, (*path, len(found)), depth=depth + 1)
            found.append(item)
            at, ended = self.separator(at, "]")
            if ended:
                return found, at

    def separator(self, at: int, close: str) -> tuple[int, bool]:
        at = self.skip(at)
        if self.text[at : at + 1] == close:
            return at + 1, True
        return self.skip(self.expect(",", at)), False

    def expect(self, sign: str, at: int) -> int:
        at = self.skip(at)
        if self.text[at : at + 1] != sign:
            raise self.error(at, f"expected {sign!r}", self.hint(at))
        return at + 1

    def string(self, at: int) -> tuple[str, int]:
        try:
            value, end = _STRINGS.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            raise self.error(at, f"is no JSON text: {error.msg}") from error
        return str(value), end

    def scalar(self, at: int) -> tuple[Any, int]:
        for word, value in _WORDS.items():
            if self.text.startswith(word, at):
                return value, at + len(word)
        match = _NUMBER.match(self.text, at)
        if match is None:
            raise self.error(at, "expected a value", self.hint(at))
        is_float = match.group(1) or match.group(2)
        return (float(match.group()) if is_float else int(match.group())), match.end()

    def hint(self, at: int) -> str:
        at = self.skip(at)
        if self.text[at : at + 1] in {"/", "#"}:
            return "JSON has no comments"
        return "no comma before a closing bracket" if self.text[at : at + 1] in {"}", "]"} else ""
