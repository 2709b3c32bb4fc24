"""Who may import whom, what importing costs, and what may not stand in the source."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import neuroml

PACKAGE = Path(neuroml.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
FAMILIES = {
    "decoding", "switching", "connectome", "celltypes", "dendrites", "representation",
}  # fmt: skip
BELOW = ["exceptions", "_core", "data", "simulate"]
ABOVE = ["evaluation", "plotting", "report", "batch", "cli", "__main__"]
LAYERS = [*BELOW, *sorted(FAMILIES), *ABOVE]
LEVEL = (
    {name: i for i, name in enumerate(BELOW)}
    | dict.fromkeys(FAMILIES, len(BELOW))
    | {name: len(BELOW) + 1 + i for i, name in enumerate(ABOVE)}
)
ONLY_MATPLOTLIB = PACKAGE / "plotting"


def part_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports_of(path):
    """Full names of everything a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_levels_are_those_of_the_plan():
    order = sorted(LEVEL, key=LEVEL.get)
    assert order[:4] == ["exceptions", "_core", "data", "simulate"]
    assert order[-5:] == ["plotting", "report", "batch", "cli", "__main__"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    here = part_of(path)
    if here == "__init__":
        return
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "neuroml" or len(parts) < 2 or parts[1] == here or parts[1] not in LEVEL:
            continue
        assert LEVEL[parts[1]] < LEVEL[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_matplotlib_only_in_the_figures(path):
    if ONLY_MATPLOTLIB not in path.parents:
        assert not any(name.split(".")[0] == "matplotlib" for name in runtime_imports(path))


def runtime_imports(path):
    """Like `imports_of`, without what stands under ``if TYPE_CHECKING``."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


FORBIDDEN = re.compile(
    r"\bpickle\b(?!\s*(?:-|;|,|\.))|joblib\.(?:load|dump)|torch\.(?:load|save)\b|allow_pickle\s*=\s*True"
    r"|(?<![.\w])(?:eval|exec|print)\("
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_pickle_no_eval_no_print(path):
    code = "\n".join(ast.unparse(node) for node in without_docstrings(path))
    assert not FORBIDDEN.search(code), FORBIDDEN.search(code)


def without_docstrings(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                body[0].value.value = ""
    return tree.body


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_neuroml_is_cheap():
    code = (
        "import time, sys; start = time.perf_counter(); import neuroml; "
        "took = time.perf_counter() - start; "
        "print(took, *[m for m in ('torch', 'sklearn', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    took, *heavy = min((run_python(code).split() for _ in range(3)), key=lambda out: float(out[0]))
    assert float(took) < 0.1 and not heavy


@pytest.mark.parametrize("module", ["connectome", "data", "batch", "report", "cli"])
def test_torch_and_matplotlib_are_imported_where_they_are_used(module):
    code = (
        f"import sys, neuroml.{module}; "
        "print(*[m for m in ('torch', 'matplotlib', 'pynwb', 'dask') if m in sys.modules])"
    )
    assert run_python(code).split() == []


def test_lazy_names_resolve():
    for name in neuroml.__all__:
        assert getattr(neuroml, name) is not None
    for name in neuroml._SUBMODULES:
        assert inspect.ismodule(getattr(neuroml, name))
    assert set(neuroml._SUBMODULES) <= set(dir(neuroml))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        neuroml.nonsense  # noqa: B018


PUBLIC_MODULES = ["neuroml", *(f"neuroml.{name}" for name in neuroml._SUBMODULES)]


def public_objects():
    for module_name in PUBLIC_MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found) or inspect.isfunction(found):
                yield pytest.param(found, id=f"{module_name}.{name}")


@pytest.mark.parametrize("item", list(public_objects()))
def test_every_public_name_is_documented(item):
    doc = inspect.getdoc(item)
    assert doc, f"{item} has no docstring"
    if inspect.isclass(item):
        for name, member in vars(item).items():
            if not name.startswith("_") and (
                inspect.isfunction(member) or isinstance(member, property)
            ):
                assert inspect.getdoc(member), f"{item.__name__}.{name} has no docstring"
        if issubclass(item, Exception):
            return
    for name, parameter in inspect.signature(item).parameters.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            assert re.search(rf"\b{name}\b", doc), f"{item} does not document {name}"


def test_no_module_is_named_like_one_of_libneuroml():
    taken = {"loaders", "writers", "utils", "hdf5", "nml", "arraymorph", "benchmarks", "examples"}
    assert not taken & {path.stem for path in PACKAGE.iterdir()}
