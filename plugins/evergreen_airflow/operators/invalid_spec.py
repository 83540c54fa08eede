"""The only task of a broken model file's DAG: it fails with what is wrong with the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from evergreen.redaction import redact

if TYPE_CHECKING:
    from airflow.sdk import Context


class InvalidSpecOperator(BaseOperator):
    """Fails with the problems of a model file."""

    ui_color: str = "#fce8e6"

    def __init__(self, *, problems: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problems = problems

    def execute(self, context: Context) -> None:  # noqa: ARG002 - Airflow's signature
        """Fail.

        Raises:
            AirflowFailException: always.
        """
        raise AirflowFailException(redact(self.problems))
