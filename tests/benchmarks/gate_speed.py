"""How long the gate takes on a million rows: `python -m tests.benchmarks.gate_speed`.

Two models' probabilities for a million rows of 31 days are compared by log-loss, by the area under the
ROC curve and by accuracy, and by log-loss on ten slices, all with intervals by day. *A retrain's gate*
is what `evaluate` measures and judges with log-loss and these slices: against champion, baseline and the
last period's answer, and the calibration of both. Beside it stands what is usually written for an
interval: the three metrics of scikit-learn on 2,000 resamples of the rows, for both models, with no
slices and no days. Twenty resamples are timed and the rest is multiplication. Each of the two runs in a
process of its own on one thread. Seconds are of CPU, since other work on the machine adds to any other
clock; the lowest of three rounds stands. Memory is the process's peak less what it held with models and
rows in it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evergreen.gate_spec import Gate
from tests.benchmarks.trials import (
    BLUE,
    ORANGE,
    World,
    binary,
    canvas,
    generator,
    in_processes,
    run,
    save,
    table,
    verdict,
)

ROWS = 1_000_000
DAYS = 31
SLICES = 10
RESAMPLES, TIMED = 2_000, 20
SECONDS, GIGABYTES = 2.0, 1.0
ROUNDS = 3
WHOLE, GATE = "three metrics, ten slices", "a retrain's gate"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by part, and peak memory in bytes above what the process held before."""

    seconds: dict[str, float]
    memory: int


def measure(rows: int) -> tuple[Cost, Cost]:
    """Return the gate's cost and that of resampling, each from a fresh process."""
    rows = max(rows, 10_000)
    gate, resampling = (_alone(work, rows) for work in (cost_of_gate, cost_of_resampling))
    return gate, resampling


def _alone(work, rows: int) -> Cost:
    # A pool of one fresh process: in_processes would run a single task in this one.
    (_, cost) = in_processes(work, [0, rows])
    return cost


def _models(rows: int):
    days = np.sort(generator("days").integers(0, DAYS, rows))
    return binary(generator("speed"), World(shared=0.5, own=0.4, day=0.1), days, "day")


def cost_of_gate(rows: int) -> Cost | None:
    """Return the least seconds of each part in three rounds, and the peak memory."""
    if not rows:
        return None
    import pyarrow as pa

    from evergreen.evidence.calibration import calibration
    from evergreen.evidence.gather import gather
    from evergreen.evidence.paired import difference
    from evergreen.evidence.slices import judged_slices
    from evergreen.gate import compare

    judged, challenger, champion = _models(rows)
    kinds = generator("slices").integers(0, SLICES, rows)
    columns = {"kind": pa.chunked_array([np.array([f"slice {n}" for n in range(SLICES)])[kinds]])}
    baseline = np.broadcast_to([0.7, 0.3], challenger.shape)
    rules = {
        name: Gate.model_validate({"metric": name, "slices": ["kind"]})
        for name in ("log_loss", "roc_auc", "accuracy")
    }
    rule = rules["log_loss"]

    def against_champion(name: str) -> object:
        return difference(
            rules[name].metric, judged, challenger, champion, confidence=0.95, min_clusters=10
        )

    def retrain() -> object:
        evidence = gather(rule, judged, columns, challenger, champion, baseline, baseline)
        return compare(rule, "medium", evidence)

    def slices() -> object:
        return judged_slices(rule, judged, columns, challenger, champion)

    parts = {
        WHOLE: lambda: [slices(), *map(against_champion, rules)],
        "log_loss, one difference": lambda: against_champion("log_loss"),
        "roc_auc, one difference": lambda: against_champion("roc_auc"),
        "accuracy, one difference": lambda: against_champion("accuracy"),
        "log_loss, ten slices": slices,
        GATE: retrain,
        "calibration, one model": lambda: calibration(judged, challenger, 0.95),
    }
    _warm_up(judged.only(np.arange(rows) < 5_000), challenger[:5_000])
    before = _held_from_now()
    seconds = {name: min(_timed(part) for _ in range(ROUNDS)) for name, part in parts.items()}
    return Cost(seconds, _memory("VmHWM") - before)


def _warm_up(rows, predictions: np.ndarray) -> None:
    """Let everything be imported that is imported on first use."""
    from evergreen.evidence.calibration import calibration

    calibration(replace(rows, clusters=np.arange(len(rows))), predictions, 0.95)


def _timed(part) -> float:
    began = time.process_time()
    part()
    return time.process_time() - began


def cost_of_resampling(rows: int) -> Cost | None:
    """Return what 2,000 resamples with scikit-learn would take."""
    if not rows:
        return None
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    judged, *models = _models(rows)
    truth, scores = judged.codes, [model[:, 1] for model in models]
    rng = generator("resamples")
    before = _held_from_now()
    began = time.process_time()
    for _ in range(TIMED):
        chosen = rng.integers(0, rows, rows)
        for score in scores:
            log_loss(truth[chosen], score[chosen])
            roc_auc_score(truth[chosen], score[chosen])
            accuracy_score(truth[chosen], score[chosen] > 0.5)
    took = time.process_time() - began
    return Cost({WHOLE: took * RESAMPLES / TIMED}, _memory("VmHWM") - before)


def _held_from_now() -> int:
    """Return the bytes that the process holds, and let Linux look for a new peak."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(what)))


def markdown(figures: tuple[Cost, Cost]) -> str:
    """Return the figures as Markdown."""
    gate, resampling = figures
    ours, theirs = gate.seconds[WHOLE], resampling.seconds[WHOLE]
    body = [
        *(
            [name if name in (WHOLE, GATE) else f"— {name}", f"{seconds:.2f}", ""]
            for name, seconds in gate.seconds.items()
        ),
        ["all of these", "", f"{gate.memory / 1e6:,.0f}"],
        [
            f"{RESAMPLES:,} resamples with scikit-learn ({TIMED} timed)",
            f"{theirs:,.0f}",
            f"{resampling.memory / 1e6:,.0f}",
        ],
    ]
    return "\n\n".join(
        [
            table(["what", "CPU, s", "memory, MB"], body),
            f"Resampling takes {theirs / ours:,.0f} times as long.",
            verdict(
                ours < SECONDS and gate.memory < GIGABYTES * 1e9,
                f"three metrics and ten slices in under {SECONDS:g} s of CPU and {GIGABYTES:g} GB.",
            ),
        ]
    )


def draw(figures: tuple[Cost, Cost], path: Path) -> None:
    """Draw where the time goes."""
    gate, resampling = figures
    seconds = gate.seconds | {f"{RESAMPLES:,} resamples": resampling.seconds[WHOLE]}
    figure, axes = canvas(height=2.8)
    colours = [ORANGE if "resamples" in name else BLUE for name in seconds]
    bars = axes.barh(list(seconds), list(seconds.values()), color=colours)
    axes.bar_label(
        bars, labels=[f" {one:,.2f} s" if one < 100 else f" {one:,.0f} s" for one in seconds.values()]
    )
    axes.set_xscale("log")
    axes.set_xlim(right=max(seconds.values()) * 6)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds of CPU (log scale)")
    axes.set_title("A million rows, two models", loc="left")
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, ROWS)
