"""Tidy tables, one module per family."""
