"""Hands a suite to Great Expectations and turns what is wrong with the suite itself into errors."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evergreen.errors import DataUnusable, bounded
from evergreen.names import did_you_mean
from evergreen.observations import columns_of
from evergreen.redaction import redact
from evergreen.spec import Expectation, Suite
from evergreen.window import parse_instant

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Arguments that steer Great Expectations rather than say something about the data. A row condition is
# a Python expression that pandas evaluates: a model file says what, it never runs code.
_NOT_ARGUMENTS = frozenset(
    {"batch_id", "catch_exceptions", "condition_parser", "description", "id", "library_metadata"}
    | {"meta", "notes", "rendered_content", "result_format", "row_condition", "severity", "windows"}
)
_NEEDS_SQL = frozenset(
    {"expect_query_results_to_match_comparison", "expect_table_row_count_to_equal_other_table"}
)
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "return_unexpected_index_query": False,
}
_SHOWN_MISTAKES = 10


def great_expectations() -> ModuleType:
    """Import the library: quiet, and sending nothing."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports the deprecated sre_constants
        import great_expectations as gx
    return gx


def judge(gx: ModuleType, suite: Suite, frame: pd.DataFrame, schema: pa.Schema, model: str) -> list[Any]:
    """Return the library's result of each expectation, in the order of the suite.

    Failing rows stand in the results by their number in the frame.

    Raises:
        DataUnusable: names every expectation that is unknown, lacks or has wrong arguments, names a
            column that is not there, or cannot be computed on these rows.
    """
    places = [f"{model}: expectation {n} ({e.type})" for n, e in enumerate(suite.expectations, 1)]
    loaded = _load(suite, schema, places)
    batch = _batch(gx, frame)
    try:
        named = gx.ExpectationSuite(name=model, expectations=loaded)
        with warnings.catch_warnings():
            # numpy's word on infinities and empty columns: the verdict says it better
            warnings.simplefilter("ignore", RuntimeWarning)
            answers = batch.validate(named, result_format=_RESULT_FORMAT).results
    except Exception as exc:  # metrics raise whatever the data makes them raise
        raise DataUnusable(
            f"the suite cannot be judged: {type(exc).__name__}: {redact(bounded(str(exc)))}", where=model
        ) from exc
    # The library groups its answers by metric and drops what it does not know.
    results = {answer.expectation_config.meta["number"]: answer for answer in answers}
    if results.keys() != set(range(len(loaded))):
        raise DataUnusable(
            "Great Expectations left expectations unanswered",
            where=model,
            got=sorted(results),
            allowed=f"one answer for each of {len(loaded)}",
        )
    ordered = [results[number] for number in range(len(loaded))]
    _check(suite, ordered, schema, places)
    return ordered


def _batch(gx: ModuleType, frame: pd.DataFrame) -> Any:
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
    )

    # Without docs sites no folder is made for them.
    defaults = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    context = gx.get_context(
        mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=defaults)
    )
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})


def _load(suite: Suite, schema: pa.Schema, places: Sequence[str]) -> list[Any]:
    loaded, mistakes = [], []
    for number, (expectation, place) in enumerate(zip(suite.expectations, places, strict=True)):
        try:
            loaded.append(_build(expectation, number, schema, place))
        except DataUnusable as exc:
            mistakes.append(exc)
    _raise(mistakes)
    return loaded


def _raise(mistakes: Sequence[DataUnusable]) -> None:
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        shown = [f"- {mistake}" for mistake in mistakes[:_SHOWN_MISTAKES]]
        more = ["- …"] if len(mistakes) > _SHOWN_MISTAKES else []
        raise DataUnusable("\n".join([f"{len(mistakes)} expectations cannot be judged:", *shown, *more]))


def _build(expectation: Expectation, number: int, schema: pa.Schema, place: str) -> Any:
    from great_expectations.expectations.metadata_types import FailureSeverity

    kind = _kind(expectation, place)
    allowed = sorted(set(kind.__fields__) - _NOT_ARGUMENTS)
    _check_arguments(expectation, allowed, place)
    _check_columns(expectation, schema, place)
    critical = expectation.severity == "error"
    try:
        return kind(
            **_with_times(expectation, schema, place),
            severity=FailureSeverity.CRITICAL if critical else FailureSeverity.WARNING,
            meta={"number": number},
        )
    except (ValueError, TypeError) as exc:
        raise DataUnusable(
            f"an argument is missing or wrong: {_said(exc)}",
            where=place,
            got=expectation.kwargs,
            allowed=f"arguments: {', '.join(allowed)}",
        ) from exc


def _kind(expectation: Expectation, place: str) -> Any:
    from great_expectations.expectations import registry

    known = set(registry.list_registered_expectation_implementations()) - _NEEDS_SQL
    if expectation.type not in known:
        near = did_you_mean(expectation.type, known)
        raise DataUnusable(
            "there is no such expectation for rows in memory",
            where=place,
            got=expectation.type,
            allowed=None if near else ", ".join(sorted(known)),
            fix=near,
        )
    return registry.get_expectation_impl(expectation.type)


def _check_arguments(expectation: Expectation, allowed: Sequence[str], place: str) -> None:
    for name, value in expectation.kwargs.items():
        if name not in allowed:
            raise DataUnusable(
                f"the expectation takes no argument {name!r}",
                where=place,
                got=name,
                allowed=", ".join(allowed),
                fix=did_you_mean(name, allowed),
            )
        if isinstance(value, dict) and "$PARAMETER" in value:
            raise DataUnusable(
                f"the argument {name!r} must be a value; parameters are not filled in",
                where=place,
                got=value,
            )
        remote = _remote_reference(value)
        if remote:
            raise DataUnusable(
                f"the argument {name!r} would fetch another document",
                where=place,
                got=remote,
                allowed="references within the schema, such as #/$defs/price",
            )


def _remote_reference(value: object) -> str | None:
    if isinstance(value, list):
        return next(filter(None, map(_remote_reference, value)), None)
    if not isinstance(value, dict):
        return None
    for name in ("$ref", "$dynamicRef", "$recursiveRef"):
        target = value.get(name)
        if isinstance(target, str) and not target.startswith("#"):
            return target
    return next(filter(None, map(_remote_reference, value.values())), None)


def _check_columns(expectation: Expectation, schema: pa.Schema, place: str) -> None:
    if expectation.type.startswith("expect_table_") or expectation.type == "expect_column_to_exist":
        return
    for column in columns_of(expectation.kwargs):
        if column not in schema.names:
            raise DataUnusable(
                f"the data has no column {column!r}",
                where=place,
                allowed=_columns(schema.names),
                fix=did_you_mean(column, schema.names),
            )


def _columns(names: Iterable[str]) -> str:
    return f"columns {', '.join(names)}"


def _with_times(expectation: Expectation, schema: pa.Schema, place: str) -> dict[str, Any]:
    """Return the arguments with times as the column's times are: with a zone or without."""
    import pyarrow as pa

    kwargs = dict(expectation.kwargs)
    column = kwargs.get("column")
    if not isinstance(column, str) or column not in schema.names:
        return kwargs
    kind = schema.field(column).type
    if not pa.types.is_timestamp(kind):
        return kwargs
    for name in ("min_value", "max_value"):
        if isinstance(kwargs.get(name), str):
            try:
                instant = parse_instant(kwargs[name])
            except ValueError as exc:
                raise DataUnusable(f"the argument {name!r} is {exc}", where=place) from exc
            kwargs[name] = (instant if kind.tz else instant.replace(tzinfo=None)).isoformat()
    return kwargs


def _said(exc: Exception) -> str:
    errors = getattr(exc, "errors", None)
    if errors is None:
        return bounded(str(exc))
    parts = [(".".join(map(str, e["loc"])).replace("__root__", ""), e["msg"]) for e in errors()]
    return bounded("; ".join(f"{place}: {said}" if place else said for place, said in parts))


def _check(suite: Suite, results: Sequence[Any], schema: pa.Schema, places: Sequence[str]) -> None:
    """Raise where the library could not compute an expectation, rather than found it to fail."""
    mistakes = []
    for expectation, result, place in zip(suite.expectations, results, places, strict=True):
        info = result.exception_info or {}
        raised = [info] if "raised_exception" in info else list(info.values())
        said = [str(one.get("exception_message")) for one in raised if one.get("raised_exception")]
        if not said:
            continue
        there = [c for c in columns_of(expectation.kwargs) if c in schema.names]
        types = ", ".join(f"{column}: {schema.field(column).type}" for column in there)
        mistakes.append(
            DataUnusable(
                f"the expectation cannot be computed on these rows: {redact(bounded(said[0]))}",
                where=place,
                got=f"columns {types}" if types else None,
                fix="give arguments that fit the columns' types, or use another expectation",
            )
        )
    _raise(mistakes)
