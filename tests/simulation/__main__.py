"""Simulates years of many models, and exits with 1 where a rule did not hold."""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.fleet import simulate, told


def main() -> int:
    """Simulate and print what it came to."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--only", type=int, metavar="N", help="only the N-th installation, to look into it"
    )
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.models} models, {given.years:g} years")
    result = simulate(given.seed, given.models, given.years, jobs=given.jobs, only=given.only)
    print(told(result))
    if result.violations:
        print("to see one again: the same arguments, and --only with the installation's number")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
