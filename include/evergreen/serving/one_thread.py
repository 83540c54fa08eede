"""The way a model is run where its numbers must come out the same again: on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Run scikit-learn on one thread while the context is open.

    Threads add up in the order they finish in, and sums of floating-point numbers differ in their last
    bits by that order. BLAS and OpenMP are held to one thread where they are loaded already, and what
    joblib would run in parallel (an `n_jobs` of the model) runs in sequence.
    """
    from joblib import parallel_config  # type: ignore[import-untyped]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1), parallel_config(backend="sequential"):
        yield
