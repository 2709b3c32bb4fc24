"""Every public name stands in the API reference, and the reference names nothing else."""

import importlib
import inspect
import re
from pathlib import Path

API = (Path(__file__).parents[2] / "tutorials" / "docs" / "api.rst").read_text()


def listed():
    """Names in the reference, by module."""
    names, module = {}, None
    for line in API.splitlines():
        if found := re.fullmatch(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
            assert module not in names, f"{module} has two sections"
            names[module] = []
        elif found := re.fullmatch(r"   (\w+)", line):
            names[module].append(found[1])
    return names


def test_reference_lists_what_is_public():
    for module, names in listed().items():
        package = importlib.import_module(module)
        public = {
            name
            for name in package.__all__
            if not name.startswith("__") and not inspect.ismodule(getattr(package, name))
        }
        assert set(names) == public, module
        assert len(names) == len(set(names)), module


def test_reference_has_every_package():
    import neuroml

    documented = {module.split(".")[1] for module in listed() if "." in module}
    assert documented >= set(neuroml._SUBMODULES)
