"""How long a check of the watch takes, and how much memory: `python -m tests.benchmarks.watch_speed`.

A check counts the rows of a Parquet file by day in the cells of the baseline, stores and reads the
profiles, measures the distance of every column with what chance alone reaches, looks at the data's
health, and judges. The rows have 12 numbers, three of them with gaps, 8 categories of 3 to 300 values,
and a time; the baseline was made of as many rows of 60 days. Decoding is the reading of the same file
without looking at a value, with its dictionaries kept. Decoding, profiling and checking take turns in
one process, nine rounds of each: the median stands, and ratios are the medians of each round's own, as
the machine is shared. Evidently is asked once for its `DataDriftPreset` on the same two files, in a
process of its own; the time to import it is left out. Memory is the peak of a process less what it held
after a check of a few rows. Larger files are streamed.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks import watch_speed_work as work
from tests.benchmarks.trials import BLUE, GREY, ORANGE, canvas, run, save, table, verdict
from tests.benchmarks.watch_peers import DEFAULT_FOLDER, python_of

ROWS = 1_000_000
TIMES_MORE = (10, 100)
LITTLE = 2_000
OVER_EVIDENTLY, OVER_DECODING = 100, 3
MEGABYTES, MERGING_SECONDS = 300, 0.1


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of each round, of Evidently and of merging, and bytes of memory by rows."""

    rows: int
    rounds: dict[str, list[float]]
    evidently: dict[str, float] | None
    memory: dict[int, dict[str, float]]
    merging: list[float]

    def over(self, one: str, other: str) -> float:
        """Return how many times longer one takes than the other, round by round."""
        pairs = zip(self.rounds[one], self.rounds[other], strict=True)
        return median(mine / theirs for mine, theirs in pairs)


def measure(rows: int) -> Figures:
    """Make the files and measure; the larger ones have 10 and 100 times the rows."""
    rows = max(rows, LITTLE)
    with tempfile.TemporaryDirectory(prefix="evergreen-bench-") as name:
        folder = Path(name)
        end = work.BEGIN.toordinal() + work.BASELINE_DAYS
        first = work.BEGIN.fromordinal(end)
        for file, count in (("baseline", rows), ("window", rows), ("little", LITTLE)):
            days = work.BASELINE_DAYS if file == "baseline" else work.WINDOW_DAYS
            since = work.BEGIN if file == "baseline" else first
            work.alone("make", folder / f"{file}.parquet", count, days, since)
        rounds = work.alone("check", folder)
        python = python_of("evidently", DEFAULT_FOLDER)
        evidently = work.evidently(python, folder) if python.is_file() else None
        memory = {rows: work.alone("memory", folder, "window.parquet")}
        for times in TIMES_MORE:
            work.alone("make", folder / "large.parquet", times * rows, work.WINDOW_DAYS, first)
            memory[times * rows] = work.alone("memory", folder, "large.parquet")
    merging = work.alone("merging", work.DAYS_MERGED, work.FEATURES_MERGED)["seconds"]
    return Figures(rows, rounds, evidently, memory, merging)


def markdown(figures: Figures) -> str:
    """Return the figures as Markdown."""
    seconds = {name: median(each) for name, each in figures.rounds.items()}
    said = [
        [words, f"{seconds[name]:.2f}", f"{figures.over(name, 'decode'):.1f}", ""]
        for name, words in _WORDS.items()
    ]
    said[-1][-1] = f"{figures.memory[figures.rows]['memory'] / 1e6:,.0f}"
    if figures.evidently is not None:
        theirs = figures.evidently["seconds"]
        said.append(
            [
                "Evidently's `DataDriftPreset`",
                f"{theirs:,.1f}",
                f"{theirs / seconds['decode']:,.0f}",
                f"{figures.evidently['memory'] / 1e6:,.0f}",
            ]
        )
    merging = median(figures.merging)
    return "\n\n".join(
        [
            table([f"{figures.rows:,} rows", "s", "decodings", "memory, MB"], said),
            table(
                ["one check", "s", "million rows a second", "memory, MB"],
                [
                    [
                        f"{rows:,} rows",
                        f"{each['seconds']:,.2f}",
                        f"{rows / each['seconds'] / 1e6:.1f}",
                        f"{each['memory'] / 1e6:,.0f}",
                    ]
                    for rows, each in figures.memory.items()
                ],
            ),
            f"Merging {work.DAYS_MERGED} daily profiles of {work.FEATURES_MERGED} features takes "
            f"{1000 * merging:.0f} ms.",
            *_claims(figures, seconds["check"], merging),
        ]
    )


_WORDS = {
    "decode": "decoding alone",
    "profile": "decoding and profiling by day",
    "check": "a whole check, verdict included",
}


def _claims(figures: Figures, check: float, merging: float) -> list[str]:
    largest = max(each["memory"] for each in figures.memory.values()) / 1e6
    claims = [
        verdict(
            figures.over("check", "decode") <= OVER_DECODING,
            f"a whole check takes at most {OVER_DECODING} times as long as decoding.",
        ),
        verdict(
            largest <= MEGABYTES, f"memory stays under {MEGABYTES} MB, however many rows there are."
        ),
        verdict(
            merging < MERGING_SECONDS,
            f"{work.DAYS_MERGED} daily profiles of {work.FEATURES_MERGED} features are merged in under "
            f"{MERGING_SECONDS:g} s.",
        ),
    ]
    if figures.evidently is None:
        return [
            *claims,
            "Evidently was not measured: `python -m tests.benchmarks.watch_peers --install DIR` makes "
            "the environment that it needs.",
        ]
    faster = figures.evidently["seconds"] / check
    return [
        verdict(
            faster >= OVER_EVIDENTLY,
            f"a whole check is at least {OVER_EVIDENTLY} times as fast as Evidently's preset "
            f"({faster:,.0f} times).",
        ),
        *claims,
    ]


def draw(figures: Figures, path: Path) -> None:
    """Draw the seconds of one check."""
    seconds = {words: median(figures.rounds[name]) for name, words in _WORDS.items()}
    if figures.evidently is not None:
        seconds["Evidently's DataDriftPreset"] = figures.evidently["seconds"]
    figure, axes = canvas(height=2.2)
    colours = [GREY, BLUE, BLUE, ORANGE][: len(seconds)]
    bars = axes.barh(list(seconds), list(seconds.values()), color=colours)
    axes.bar_label(bars, labels=[f" {one:,.2f} s" for one in seconds.values()])
    axes.set_xscale("log")
    axes.set_xlim(right=max(seconds.values()) * 6)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds (log scale)")
    axes.set_title(f"{figures.rows:,} rows of 20 features, from Parquet", loc="left")
    save(figure, path)


if __name__ == "__main__":
    run(measure, markdown, draw, __doc__, ROWS)
