"""What a command says by its exit code, in its own process and in Airflow's.

0 ok, 1 findings (an invalid file, rejected data, a broken chain), 2 usage, 3 environment (a connection,
database or server that is missing or does not answer, a run in the way), 130 interrupted.
"""

from __future__ import annotations

OK, FINDINGS, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130
