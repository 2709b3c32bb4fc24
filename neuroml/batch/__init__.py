"""The batch runner: a recipe over many recordings becomes models, tables, figures and a report."""

from neuroml.batch.recipe import Recipe, read_recipe
from neuroml.batch.runner import Job, RunSummary, check, plan, report, run
from neuroml.batch.starting import start_recipe

__all__ = [
    "Job",
    "Recipe",
    "RunSummary",
    "check",
    "plan",
    "read_recipe",
    "report",
    "run",
    "start_recipe",
]
