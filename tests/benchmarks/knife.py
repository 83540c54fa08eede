"""Every write-like system call of every step and ledger operation is cut off, one at a time: the
process is killed there, or the call fails for a full or a broken disk. On PostgreSQL every round trip
is: the connection is cut before the server hears or after it has answered, the process is killed, its
session is ended; and at every commit the whole server is stopped at once and started again. A whole
retrain is run on a disk that fills up in each of its steps.

After each cut, before anybody tries again: the chain verifies, what was acknowledged stands, no half
file lies under a final name. After one retry: ledger, messages, registry, target and files are those of
an undisturbed run. Parts that release are also left alone after a kill, and one pass of reconcile
finishes them.

First come the ledger's operations on SQLite, at every point; then every part there is, at one point of
each kind, drawn by seed. Without `--most`, all parts that do not take seconds are cut at every point,
and the others, like all steps on PostgreSQL, at a dozen or more of each kind:

    make knife KNIFE_ARGS="--scenario ledger --cut kill"
"""

from __future__ import annotations

import sys

from tests.knife.__main__ import main

WHOLE = ("--scenario", "ledger", "--backend", "sqlite")

if __name__ == "__main__":
    broken = main(WHOLE)
    print()
    sys.exit(broken or main(sys.argv[1:]))
