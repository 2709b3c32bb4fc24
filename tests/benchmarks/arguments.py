"""The arguments of the scripts in the folders beside this file: ``--help`` says what there is."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

__all__ = ["arguments", "sections"]


def arguments(doc: str, *names: str, optional: Iterable[str] = ()) -> list[str]:
    """The script's arguments, those that may be left out after those that may not.

    Parameters
    ----------
    doc : str
        What ``--help`` prints: the script's docstring.
    names : str
        Of the arguments, in their order.
    optional : iterable of str
        Of those that may be left out; the last one may be given often if it ends in "...".
    """
    parser = _parser(doc)
    for name in names:
        parser.add_argument(name)
    for name in optional:
        parser.add_argument(name, nargs="*" if name.endswith("...") else "?")
    given = [value for value in vars(parser.parse_args()).values() if value is not None]
    return [text for value in given for text in (value if isinstance(value, list) else [value])]


def sections(doc: str, names: Iterable[str]) -> list[str]:
    """The sections that are asked for, each one of ``names``; all of them if none is."""
    known, parser = list(names), _parser(doc)
    listed = ", ".join(known)
    parser.add_argument("section", nargs="*", help=f"of {listed}; all of them if none is given")
    asked = parser.parse_args().section
    unknown = [name for name in asked if name not in known]
    if unknown:
        parser.error(f"there is no section {unknown[0]}; expected one of {listed}")
    return asked or known


def _parser(doc: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
