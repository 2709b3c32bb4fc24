"""State-switching generalised linear models for neural populations and for behaviour."""

__all__: list[str] = []
