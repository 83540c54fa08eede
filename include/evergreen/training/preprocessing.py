"""What goes before an estimator, by the type of each column; scikit-learn's own parts only.

Text columns become categories: native ones where the estimator has them (HistGradientBoosting), else
one column per frequent category. Rare categories share one bucket, so any number of categories works;
categories not seen in training are missing values or fall into that bucket. Numbers pass as they are
where the estimator takes missing values, else they are imputed by the median and scaled; so they are
beside sparse categories, as no estimator takes missing values in a sparse matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# HistGradientBoosting holds a category in a uint8, one value of which means missing.
MOST_NATIVE_CATEGORIES = 254
MOST_COLUMNS_PER_TEXT = 50


def around(estimator: Any, frame: pd.DataFrame) -> Any:
    """Return a scikit-learn pipeline that makes the frame's columns ready and ends in `estimator`."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    text = [str(name) for name in frame.columns if frame[name].dtype == object]
    numbers = [str(name) for name in frame.columns if frame[name].dtype != object]
    native = _takes_categories(estimator)
    sparse = bool(text) and not native and _input_tag(estimator, "sparse")
    steps = []
    if text:
        steps.append(("categories", _categories(estimator, native, sparse), text))
    if numbers:
        steps.append(("numbers", _numbers(estimator, sparse), numbers))
    columns = ColumnTransformer(steps, verbose_feature_names_out=False)
    if native:
        # Names, so that parameters such as monotonic_cst may speak of columns by name.
        columns.set_output(transform="pandas")
        if text:
            estimator.set_params(categorical_features=text)
    return Pipeline([("columns", columns), ("model", estimator)])


def text_beyond(frame: pd.DataFrame, estimator: Any) -> dict[str, int]:
    """Return the text columns that hold more categories than are told apart, with their count."""
    most = _most_native(estimator) if _takes_categories(estimator) else MOST_COLUMNS_PER_TEXT
    counts = {str(n): int(frame[n].nunique()) for n in frame.columns if frame[n].dtype == object}
    return {name: count for name, count in counts.items() if count > most}


def _takes_categories(estimator: Any) -> bool:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return isinstance(estimator, (HistGradientBoostingClassifier, HistGradientBoostingRegressor))


def _most_native(estimator: Any) -> int:
    bins = estimator.get_params().get("max_bins")
    return max(1, min(MOST_NATIVE_CATEGORIES, bins - 1)) if type(bins) is int else 1


def _categories(estimator: Any, native: bool, sparse: bool) -> Any:
    import numpy as np
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if native:
        return OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            encoded_missing_value=np.nan,
            max_categories=_most_native(estimator),
        )
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MOST_COLUMNS_PER_TEXT,
        sparse_output=sparse,
    )


def _numbers(estimator: Any, sparse: bool) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if not sparse and _input_tag(estimator, "allow_nan"):
        return "passthrough"
    return Pipeline(
        [
            ("missing", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )


def _input_tag(estimator: Any, tag: str) -> bool:
    from sklearn.utils import get_tags

    try:
        return bool(getattr(get_tags(estimator).input_tags, tag))
    except AttributeError:  # an estimator without tags: the careful answer
        return False
