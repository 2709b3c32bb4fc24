"""Reference pages that the code itself writes: keys of recipes, options of the command line."""

import inspect
import re
import typing
from types import NoneType

import typer
from docutils import nodes
from numpydoc.docscrape import ClassDoc, FunctionDoc
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from neuroml import cli
from neuroml.batch import recipe, vocabulary


def _kind(hint: typing.Any) -> str:
    """A type in the words of TOML."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "table"
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if hint in names:
        return names[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f'"{value}"' for value in inner)
    if origin is list:
        one = _kind(inner[0])
        return "tables" if one == "table" else f"list of {one}"
    if origin is tuple:
        return f"[{', '.join(_kind(one) for one in inner)}]"
    if origin is dict:
        return "table"
    if inner:
        return " or ".join(dict.fromkeys(_kind(one) for one in inner if one is not NoneType))
    return "any"


def _shown(default: typing.Any) -> str:
    if default is PydanticUndefined:
        return "needed"
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"``{str(default).lower()}``"
    if default in ("", [], {}):
        return "empty"
    return f'``"{default}"``' if isinstance(default, str) else f"``{default}``"


def _attributes(section: type[BaseModel]) -> dict[str, tuple[str, str]]:
    """What a section's docstring says of each key: its type in words, and its meaning."""
    found = {}
    for names, kind, lines in ClassDoc(section)["Attributes"]:
        for name in names.split(","):
            found[name.strip()] = kind, " ".join(line.strip() for line in lines)
    return found


def _table(header: list[str], widths: list[int], rows: list[list[str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}"]
    lines += ["   :class: folding", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
    return [*lines, ""]


class _Generated(SphinxDirective):
    """A directive whose content is reStructuredText that code writes."""

    has_content = False
    optional_arguments = 1

    def parse(self, lines: list[str]) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


class RecipeKeys(_Generated):
    """Keys of a section of a recipe: type, default, meaning."""

    def run(self) -> list[nodes.Node]:
        section = getattr(recipe, self.arguments[0])
        said = _attributes(section)
        rows = []
        for name, field in section.model_fields.items():
            if name == "where":  # known from the file
                continue
            words, meaning = said[name]
            kind = _kind(field.annotation)
            default = (
                field.get_default(call_default_factory=True)
                if not field.is_required()
                else (PydanticUndefined)
            )
            rows.append([
                f"``{name}``", words if kind == "any" else kind, _shown(default), meaning or "\\ ",
            ])  # fmt: skip
        return self.parse(_table(["key", "type", "default", "meaning"], [15, 22, 13, 50], rows))


class RecipeOptions(_Generated):
    """Options of what a recipe can name: readers, preparations, or steps."""

    def run(self) -> list[nodes.Node]:
        given = {
            "readers": vocabulary.READERS,
            "preparations": vocabulary.PREPARATIONS,
            "steps": vocabulary.estimator_classes(),
        }[self.arguments[0]]
        rows = []
        for name, called in sorted(given.items()):
            own = list(inspect.signature(called).parameters.values())
            if not isinstance(called, type):
                own = own[1:]  # the file or the recording
            parameters = [
                f"``{p.name}``" if p.default in (p.empty, None) else f"``{p.name} = {p.default!r}``"
                for p in own
                if p.name != "key"  # a recipe names recordings by their files
            ]
            role = "class" if isinstance(called, type) else "func"
            where = called.__module__.split("._")[0]
            if where.startswith("neuroml."):
                where = ".".join(where.split(".")[:2])
                target = f":{role}:`{name} <{where}.{called.__name__}>`"
            else:
                target = name
            # references stand on the page of the class
            summary = re.sub(r" ?\[\d+\]_", "", " ".join(FunctionDoc(called)["Summary"]))
            rows.append([target, summary or "\\ ", ", ".join(parameters) or "\\ "])
        return self.parse(_table(["name", "what it does", "options"], [22, 33, 45], rows))


class CommandLine(_Generated):
    """All commands, as ``--help`` has them."""

    def run(self) -> list[nodes.Node]:
        return self.parse(list(_commands(typer.main.get_command(cli.app), "neuroml")))


def _commands(command: typing.Any, name: str) -> typing.Iterator[str]:
    """Usage, meaning and options of a command, or of all commands of a group."""
    for inner, one in getattr(command, "commands", {}).items():
        yield from _commands(one, f"{name} {inner}")
    if hasattr(command, "commands"):
        return
    context = command.context_class(command, info_name=name)
    pieces = [p for p in command.collect_usage_pieces(context) if p != "[OPTIONS]"]
    usage = " ".join([name, *(p.strip("{}").upper() for p in pieces)])
    yield from [usage, "~" * len(usage), ""]
    yield from [(command.help or "").replace("\n", " "), ""]
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[0] != "--help":
            # typer's marks of defaults and needs, as rich has them in color
            yield from [f"- ``{record[0]}``: {record[1].replace('[', '(').replace(']', ')')}"]
    yield ""
    if command.epilog:
        yield from [f"{command.epilog.replace('Example: ', 'Example: ``')}``", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("recipe-keys", RecipeKeys)
    app.add_directive("recipe-options", RecipeOptions)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
