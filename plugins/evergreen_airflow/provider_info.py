"""What Airflow is told about this package; every `import airflow` runs it, so it imports little."""

from __future__ import annotations

from typing import Any

from evergreen import __version__
from evergreen.settings import VARIABLES
from evergreen.step_names import FLEET_TASKS, STEP_NAMES

CONFIG_SECTION = "evergreen"
SENSITIVE_OPTIONS = frozenset({"ledger", "tracking"})
OPERATOR_MODULES = (*STEP_NAMES, *FLEET_TASKS)


def option_of(variable: str) -> str:
    """Return the option of airflow.cfg's `[evergreen]` section that stands for a variable.

    >>> option_of("EVERGREEN_LEASE_SECONDS")
    'lease_seconds'
    """
    return variable.removeprefix("EVERGREEN_").lower()


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description in the form of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "airflow-provider-evergreen",
        "name": "Evergreen",
        "description": "Keeps production machine-learning models fresh: one YAML file per model.",
        "versions": [__version__],
        "integrations": [{"integration-name": "Evergreen", "tags": ["software"]}],
        "operators": [
            {
                "integration-name": "Evergreen",
                "python-modules": [f"evergreen_airflow.operators.{name}" for name in OPERATOR_MODULES],
            }
        ],
        "sensors": [
            {
                "integration-name": "Evergreen",
                "python-modules": ["evergreen_airflow.sensors.drift"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Evergreen",
                "python-modules": ["evergreen_airflow.triggers.drift"],
            }
        ],
        "notifications": ["evergreen_airflow.notifiers.EvergreenNotifier"],
        "asset-uris": [{"schemes": [CONFIG_SECTION], "handler": None}],
        "cli": ["evergreen_airflow.cli.get_evergreen_cli_commands"],
        "config": {
            CONFIG_SECTION: {
                "description": "Where Evergreen keeps its things. Variables EVERGREEN_* win.",
                "options": {
                    option_of(variable): {
                        "description": explanation,
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": None,
                        "default": None,
                        "sensitive": option_of(variable) in SENSITIVE_OPTIONS,
                    }
                    for variable, explanation in VARIABLES.items()
                },
            }
        },
    }
