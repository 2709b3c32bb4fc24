"""What keeps the code easy to follow: no circles, methods set attributes, files and functions stay short."""

import ast
import io
import tokenize
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import neuroml

PACKAGE = Path(neuroml.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

MAX_FILE, MAX_FUNCTION = 300, 40
"""Code lines, without docstrings, comments and blank lines. What is above stands here, with why."""
LONG_FILES = {
    "_core/cohort.py": "one grammar of subjects",
    "_core/persistence.py": "one format: each type's way in beside its way out",
    "_core/samples.py": "one grammar of sessions",
    "_core/validation.py": "the checks of every input",
    "batch/runner.py": "one run: jobs, workers, manifest, tables",
    "celltypes/most_discriminative_stimuli.py": "one estimator, of which half is its parameters",
    "celltypes/response_model.py": "one estimator, of which half is its parameters",
    "data/_tables.py": "one reader of tables",
    "data/spikes.py": "one reader of spikes, for six formats",
    "decoding/mindbridge.py": "one estimator, of which half is its parameters",
    "switching/_kernels/forward_backward.py": "one recursion, in linear and in log space",
    "switching/_observations/population.py": "one kind of observation",
    "switching/switching_glm.py": "one estimator",
    "switching/switching_population_glm.py": "one estimator, of which half is its parameters",
}
LONG_FUNCTIONS = {
    "make_recording": "one keyword for each part of the schema, and its check",
    "train_responses": "one training loop",
    "fit": "the steps of the method, one line each",
    "_names_from_table": "one branch for each layout of an atlas' table",
    "read_traces": "one branch for each format",
    "read_spikes": "one branch for each format",
    "_from_table": "one branch for each layout of a table",
    "make_retina": "one simulated retina, step by step",
    "fit_relaxed": "one training loop",
    "test_association": "one step of the method a line",
}


def module_of(path):
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


def imports_of(path):
    """Modules of the package that a file imports at any depth, type imports included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in MODULES:
                name = name.rpartition(".")[0]
            if name and name not in ("neuroml", module_of(path)):
                yield name


def test_no_circles():
    graph = {module: set(imports_of(path)) for module, path in MODULES.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(f"modules import each other: {error.args[1]}") from None


# Checks that record what they saw on the estimator that asks for them, as scikit-learn's
# `validate_data` does, and the reader of saved models.
RECORDERS = {"_core/cohort.py", "_core/validation.py", "_core/persistence.py"}


def attributes_set_on_arguments(path):
    """Assignments to fitted attributes of a function's own parameters, other than self."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        given = {arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)}
        given -= {"self", "cls"}
        for node in ast.walk(function):
            fitted = isinstance(node, ast.Attribute) and node.attr.endswith("_")
            if fitted and isinstance(node.ctx, ast.Store) and not node.attr.endswith("__"):
                if isinstance(node.value, ast.Name) and node.value.id in given:
                    yield f"{path.name}:{node.lineno} {ast.unparse(node)}"
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr"
            if called and getattr(node.args[0], "id", "") in given:
                yield f"{path.name}:{node.lineno} {ast.unparse(node)}"


def test_fitted_attributes_are_set_by_methods():
    for path in SOURCES:
        if str(path.relative_to(PACKAGE)) not in RECORDERS:
            assert not list(attributes_set_on_arguments(path))


def code_lines(text):
    """Numbers of the lines that hold code."""
    docstrings = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            docstrings |= set(range(first.lineno, first.end_lineno + 1))
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in blank | {tokenize.ENDMARKER}:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines - docstrings


def test_files_and_functions_stay_short():
    long_files, long_functions = set(), set()
    for path in SOURCES:
        text = path.read_text()
        lines = code_lines(text)
        if len(lines) > MAX_FILE:
            long_files.add(str(path.relative_to(PACKAGE)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                inside = set(range(node.body[0].lineno, node.body[-1].end_lineno + 1))
                if len(lines & inside) > MAX_FUNCTION:
                    long_functions.add(node.name)
    assert long_files == set(LONG_FILES), "the list of exceptions says what is"
    assert long_functions == set(LONG_FUNCTIONS), "the list of exceptions says what is"


def test_dense_code_is_commented():
    """Two comments or more for a hundred lines of code, as in the field's best code."""
    lines = comments = 0
    for path in SOURCES:
        text = path.read_text()
        lines += len(code_lines(text))
        kinds = (token.type for token in tokenize.generate_tokens(io.StringIO(text).readline))
        comments += sum(kind == tokenize.COMMENT for kind in kinds)
    assert comments >= 0.02 * lines
