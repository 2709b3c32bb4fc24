"""Figures with captions, one module per family: from a context to `neuroml.plotting`."""
