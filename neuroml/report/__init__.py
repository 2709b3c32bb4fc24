"""From a fitted model to tables, figures and one self-contained page."""

from neuroml.report.context import Context
from neuroml.report.present import draw, facts, tabulate

__all__ = ["Context", "draw", "facts", "tabulate"]
