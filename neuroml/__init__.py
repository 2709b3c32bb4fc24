"""neuroml: models of neural recordings with scikit-learn-style estimators.

Not the NeuroML model-description language: that is the package ``libNeuroML``, which also
installs a folder called ``neuroml`` and cannot share an environment with this one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__distribution__ = "neuroml-learn"

if TYPE_CHECKING:
    from neuroml._core.persistence import load, save

_PUBLIC = {"load": "neuroml._core.persistence", "save": "neuroml._core.persistence"}
_FAMILIES = (
    "celltypes",
    "connectome",
    "decoding",
    "dendrites",
    "representation",
    "switching",
)
"""The packages that hold estimators."""
_SUBMODULES = (
    *_FAMILIES,
    "batch",
    "data",
    "evaluation",
    "exceptions",
    "plotting",
    "report",
    "simulate",
)

__all__ = ["__version__", "load", "save"]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that ``import neuroml`` stays cheap (PEP 562)."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"neuroml.{name}")
    raise AttributeError(f"module 'neuroml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC, *_SUBMODULES})
