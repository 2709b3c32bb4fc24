"""Figures, one module per family; the only place that imports matplotlib."""
