"""Evergreen's settings inside Airflow: `[evergreen]` of airflow.cfg; variables EVERGREEN_* win."""

from __future__ import annotations

import os

from airflow.sdk.configuration import conf

from evergreen.errors import BadConfiguration
from evergreen.settings import VARIABLES, Settings
from evergreen_airflow.provider_info import CONFIG_SECTION, option_of


def settings_from_airflow() -> Settings:
    """Return the settings of this installation.

    Raises:
        BadConfiguration: a value that cannot be read.
    """
    try:
        return Settings.from_environment(values_from_airflow())
    except BadConfiguration as exc:
        raise BadConfiguration(
            exc.what,
            where=f"{exc.where}, in airflow.cfg [{CONFIG_SECTION}] or the variables EVERGREEN_*",
            got=exc.got,
            allowed=exc.allowed,
            fix=exc.fix,
        ) from exc


def values_from_airflow() -> dict[str, str]:
    """Return the values of `VARIABLES` that are set; AIRFLOW_URL may be that of Airflow itself."""
    found = {
        variable: os.environ.get(variable)
        or conf.get(CONFIG_SECTION, option_of(variable), fallback=None)
        for variable in VARIABLES
    }
    own = str(conf.get("api", "base_url", fallback=None) or "")
    if own.startswith(("http://", "https://")):
        found["EVERGREEN_AIRFLOW_URL"] = found["EVERGREEN_AIRFLOW_URL"] or own
    return {variable: str(text) for variable, text in found.items() if text}
