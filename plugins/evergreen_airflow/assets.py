"""The assets whose events wake a model's DAGs."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias

RETRAIN_REQUESTS = AssetAlias("evergreen/retrain-requests")
"""Through which a task wakes the retrain of a model that it did not know of when it was built."""


def retrain_request(name: str) -> Asset:
    """Return the asset whose events wake the model's retrain."""
    return Asset(name=f"evergreen/{name}/retrain-request", uri=f"evergreen://{name}/retrain-request")
