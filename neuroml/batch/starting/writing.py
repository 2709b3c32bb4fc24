"""The text of a recipe, with comments, and the question where a choice is open."""

from __future__ import annotations

import glob
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuroml._core.validation import list_some
from neuroml.exceptions import DataError

__all__ = ["Section", "counted", "name_from", "names_from", "question", "write_recipe"]

_WIDTH = 100


@dataclass(frozen=True)
class Section:
    """A table of a recipe.

    Attributes
    ----------
    header : str
        As TOML has it: ``"[data]"``, ``"[[fit.steps]]"``.
    values : dict
        Texts, numbers, booleans, lists and dicts of these.
    notes : dict of str to str
        What to say beside a value.
    comment : str
        What to say above the table.
    """

    header: str
    values: Mapping[str, Any]
    notes: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


def write_recipe(title: str, description: str, sections: Sequence[Section]) -> str:
    """Write a recipe.

    Parameters
    ----------
    title, description : str
    sections : sequence of Section

    Returns
    -------
    str
    """
    told = [f"title = {_value(title)}", f"description = {_value(description)}"]
    return "\n\n".join(["\n".join(told), *map(_section, sections)]) + "\n"


def _section(section: Section) -> str:
    lines = [*_commented(section.comment), section.header]
    for name, value in section.values.items():
        text, note = f"{name} = {_value(value)}", section.notes.get(name, "")
        if note and len(text) + len(note) + 8 > _WIDTH:
            lines += _commented(note)
            note = ""
        lines.append(f"{text:<23} # {note}" if note else text)
    return "\n".join(lines)


def _commented(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _value(value: Any) -> str:
    """A value as TOML has it; JSON's texts, numbers and booleans are TOML's too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        inside = [_value(item) for item in value]
        one_line = f"[{', '.join(inside)}]"
        if len(one_line) < _WIDTH - 10:
            return one_line
        return "[\n" + "".join(f"    {item},\n" for item in inside) + "]"
    # JSON leaves DEL as it is, TOML does not allow it
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if name.replace("_", "a").isalnum() and name.isascii() else _value(name)


def names_from(paths: Sequence[Path], where: Path) -> list[str]:
    """Paths as a recipe in the folder ``where`` names them, each matching itself alone."""
    return [glob.escape(name_from(path, where)) for path in paths]


def name_from(path: Path, where: Path) -> str:
    """The name of one file or folder that is no pattern."""
    full, base = path.resolve(), where.resolve()
    return (full.relative_to(base) if full.is_relative_to(base) else full).as_posix()


def counted(n: int, noun: str, more: str = "") -> str:
    """A number of things, as in "1 plane folder of Suite2p" or "2 runs"."""
    return f"{n} {noun}{'' if n == 1 else 's'}{more}"


def question(text: str, found: Sequence[str], answers: str, file: Path) -> DataError:
    """The error that asks what only the user knows.

    Parameters
    ----------
    text : str
        What is open, as in "which column is the choice".
    found : sequence of str
        What there is to choose from.
    answers : str
        The ways to answer, each naming an option.
    file : Path
    """
    return DataError(
        f"the files leave open {text}",
        found=list_some(found),
        fix=f"Answer by {answers}.",
        file=file,
    )
