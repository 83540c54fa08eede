"""What hostile files, models and damages came to, beside what honest models did.

    python -m tests.benchmarks.hostile_input [--fuzz-seconds 600] [--damages 10000]

What `tests/hostile` holds beside that has no figure of its own: texts, names, paths, and twelve secrets
through successes and failures (`tests/hostile/test_secrets.py`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.hostile.bounded import run
from tests.hostile.fuzz import fuzz
from tests.hostile.zips import HONEST, zips

SEED = 1


def in_child(module: str, *arguments: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return run(module, Path(folder), *arguments)


def artefacts() -> None:
    tried = in_child("trial")
    print("| hostile models | payloads | run where they are believed | run here | refused |")
    print("|---|---:|---:|---:|---:|")
    kinds = {one["name"]: one["name"].partition(":")[0] for one in tried}
    for kind, count in Counter(kinds.values()).most_common():
        of_kind = [one for one in tried if kinds[one["name"]] == kind]
        live, ran = (sum(one[word] for one in of_kind) for word in ("live", "ran"))
        refused = sum(one["ours"].startswith("refused") for one in of_kind)
        print(f"| {kind} | {count} | {live} | {ran} | {refused} |")
    live, ran = (sum(one[word] for one in tried) for word in ("live", "ran"))
    print(f"| **all** | **{len(tried)}** | **{live}** | **{ran}** | |", flush=True)
    found = in_child("zip_trial")
    files = zips()
    bad = [name for name, (_, reason) in files.items() if reason != HONEST]
    refused = sum(found["found"][name].startswith("refused") for name in bad)
    loaded = sum(said == "loaded" for said in found["found"].values())
    print(
        f"\nOf {len(files)} model files that are bombs, lie about sizes, nest without end or have names "
        f"that lead out, {refused} of the {len(bad)} bad ones are refused; {loaded} hold an honest "
        "model and are read to no harm."
    )
    models = in_child("honest_trial")
    right = sum(said == "as before" for said in models.values())
    print(
        f"\nOf {len(models)} honest models, each of another estimator of scikit-learn, {right} are "
        "loaded and answer as before.",
        flush=True,
    )


def model_files(seconds: float) -> None:
    corpus = in_child("corpus_trial")
    mutated = in_child("mutated", "3000")
    fuzzed = fuzz(seconds, SEED)
    print("\n| model files | readings | findings | slowest (CPU s) | most memory (MiB) |")
    print("|---|---:|---:|---:|---:|")
    taken = corpus["whole"] - corpus["refused"]
    ended = "none: the first would end the benchmark"
    rows = (("the corpus", corpus, taken), ("changed by a grammar (fixed seeds)", mutated, ended))
    for name, said, findings in rows:
        slowest, largest = said["slowest"][0], said["largest"][0]
        print(f"| {name} | {said['read']:,} | {findings} | {slowest:.2f} | {largest} |")
    print(
        f"| fuzzed by coverage for {seconds:.0f} s | {2 * fuzzed.executions:,} | {fuzzed.findings} | "
        f"{fuzzed.slowest_seconds:.2f} | {fuzzed.largest_mib} |",
        flush=True,
    )


def damages(count: int) -> None:
    said = in_child("flips", str(count))
    print("\n| damaged (a bit flipped, or cut short) | damages | found | harmless | silent |")
    print("|---|---:|---:|---:|---:|")
    for name, tally in said["found"].items():
        found, harmless, silent = (tally.get(word, 0) for word in ("found", "harmless", "silent"))
        print(f"| {name} | {sum(tally.values()):,} | {found:,} | {harmless:,} | {silent} |")
    print(
        "\nA damage is harmless where what is read is what was written: it lies where no reader looks, "
        "or, of quarantined rows, they are written anew beside the damaged file."
    )


def main() -> None:
    """Print the figures as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--damages", type=int, default=10_000)
    parser.add_argument("--fuzz-seconds", type=float, default=600)
    given = parser.parse_args()
    artefacts()
    model_files(given.fuzz_seconds)
    damages(given.damages)


if __name__ == "__main__":
    main()
