"""Every `published` class method follows one style: it cites a paper and takes overrides."""

import importlib
import inspect
import re

import pytest

import neuroml


def published_classes():
    names = [*(f"neuroml.{name}" for name in neuroml._SUBMODULES), "neuroml.dendrites.layers"]
    for module in map(importlib.import_module, names):
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found) and hasattr(found, "published"):
                yield pytest.param(found, id=name)


CLASSES = list(published_classes())


def test_there_are_some():
    assert len(CLASSES) >= 3


@pytest.mark.parametrize("kind", CLASSES)
def test_it_cites_a_paper_shows_an_example_and_takes_overrides(kind):
    doc = inspect.getdoc(kind.published)
    assert re.search(r"\(\d{4}\)", doc), "no year of a paper"
    assert "Examples\n" in doc and "**overrides" in doc
    assert [p.kind for p in inspect.signature(kind.published).parameters.values()] == [
        inspect.Parameter.VAR_KEYWORD
    ]
    with pytest.raises(TypeError, match="no_such_parameter"):
        kind.published(no_such_parameter=1)


@pytest.mark.parametrize("kind", [one for one in CLASSES if hasattr(one.values[0], "get_params")])
def test_overrides_replace_published_settings(kind):
    default, published = kind().get_params(), kind.published().get_params()
    changed = [name for name, value in published.items() if value != default[name]]
    assert changed, "the published settings are the defaults"
    again = kind.published(**{name: default[name] for name in changed})
    assert again.get_params() == default
