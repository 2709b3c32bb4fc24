"""The batch runner: a recipe over many recordings becomes models, tables, figures and a report."""

from neuroml.batch.recipe import Recipe, read_recipe
from neuroml.batch.runner import RunSummary, plan, report, run

__all__ = ["Recipe", "RunSummary", "plan", "read_recipe", "report", "run"]
