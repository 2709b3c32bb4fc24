"""Compiled loops over bins."""
