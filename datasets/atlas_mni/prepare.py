"""An atlas: files for the readers, and no recordings of its own."""

from pathlib import Path


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return []
