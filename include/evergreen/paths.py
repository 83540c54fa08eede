"""The one helper for paths that a model file or an artefact names: they stay in their folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def contained(folder: Path, relative: str) -> Path:
    """Return `folder / relative`, resolved, where that is inside `folder`.

    Raises:
        ValueError: an absolute path, `..`, a NUL, a URL, or a link that leads out or in a circle.
    """
    if "\0" in relative or "\\" in relative or "://" in relative:
        raise ValueError(f"not a relative path: {relative[:200]!r}")
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or relative.startswith("~"):
        raise ValueError(f"the path must stay inside the model file's folder: {relative!r}")
    try:
        root = folder.resolve()
        path = (root / pure).resolve()
    except (OSError, RuntimeError) as exc:
        raise ValueError(f"the path cannot be followed: {relative[:200]!r}") from exc
    if path != root and root not in path.parents:
        raise ValueError(f"the path leads out of the model file's folder by a link: {relative!r}")
    return path
