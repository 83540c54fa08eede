"""Years of hundreds of models, simulated: Evergreen's own steps, retraining policy, approvals, deeds of
people, rollbacks and passes of `evergreen reconcile` run on a fake clock, over ports in memory. The
scheduler around them starts runs late or two at once; loses, doubles and reorders events; kills or stops
processes between two calls of a port and wakes them past their lease; clears runs that are over, and
fills in the past. Registry, target and source are away for hours.

After each event the rules of a small model of the protocol are held against ledger, leases, registry and
target. A call of a port is a place at which a process may die or stop. `make simulate` runs it; the same
seed gives the same digest.
"""

from __future__ import annotations

import os

from tests.simulation.fleet import Result, simulate

SEED, MODELS, YEARS = 7, 300, 3.0


def main() -> None:
    """Simulate and print the table."""
    result = simulate(SEED, MODELS, YEARS, jobs=os.cpu_count() or 1)
    print(table(result))


def table(result: Result) -> str:
    """Return what a simulation came to as a table with its claim."""
    counts, minute = result.counts, 60 / result.seconds
    rows = {
        "Model-years": f"{result.model_years:,.0f}",
        "Events": f"{result.events:,}",
        "Calls of a port": f"{result.calls:,}",
        "Ledger entries": f"{result.entries:,}",
        "Retrains begun": f"{counts['run_started']:,}",
        "Releases, of them rollbacks": f"{counts['release']:,}, {counts['rollbacks']:,}",
        "Requests asked, and ended": f"{counts['retrain_requested']:,}, {counts['ended']:,}",
        "Processes killed": f"{counts['killed']:,}",
        "Processes stopped and woken": f"{counts['stopped']:,}",
        "Mended by reconcile": f"{counts['mended']:,}",
        "Violations": f"{len(result.violations):,}",
        "Seconds": f"{result.seconds:.0f}",
        "Events a minute": f"{result.events * minute:,.0f}",
        "Calls of a port a minute": f"{result.calls * minute:,.0f}",
    }
    lines = [
        f"Seed {SEED}, {MODELS} models, {YEARS:g} years.",
        "",
        "| what | figure |",
        "| --- | ---: |",
    ]
    lines += [f"| {name} | {figure} |" for name, figure in rows.items()]
    held = "holds" if not result.violations else "does not hold"
    lines += ["", f"Claim: no rule is broken. It {held}.", "", f"Digest: `{result.digest}`."]
    return "\n".join([*lines, *result.violations])


if __name__ == "__main__":
    main()
