"""Every option of Airflow's that docker-compose.yaml sets is one that Airflow reads."""

from __future__ import annotations

import pytest

from tests.integration.compose import QUICKER, services

OPTIONS = {
    key
    for service in services({"EVERGREEN_UID": "1"}).values()
    for key in service.environment
    if key.startswith("AIRFLOW__")
} | QUICKER.keys()


def test_there_are_options_to_look_at():
    assert len(OPTIONS) > 20


@pytest.mark.parametrize("variable", sorted(OPTIONS))
def test_an_option_is_known_to_airflow_and_one_by_command_is_a_secret(variable):
    from airflow.configuration import conf

    section, name = variable.removeprefix("AIRFLOW__").lower().split("__")
    option = name.removesuffix("_cmd")
    assert option in conf.configuration_description[section]["options"]
    if name.endswith("_cmd"):
        assert (section, option) in conf.sensitive_config_values
