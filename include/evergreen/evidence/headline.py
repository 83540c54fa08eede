"""The gate's answer in one sentence: what is done, and the foremost reason."""

from __future__ import annotations

from evergreen.comparison import CheckName, Comparison, Difference
from evergreen.evidence import particulars
from evergreen.evidence.numbers import counted, improvement, short
from evergreen.text import plain

LONGEST_SENTENCE = 300
CONSTANT = "always giving the same answer"

FOREMOST: tuple[CheckName, ...] = (
    "by_hand",
    "newer_champion",
    "champion",
    "baseline",
    "last_period",
    "slices",
    "fairness",
    "calibration",
    "serving",
    "leaks",
)
"""The order in which failed checks are worth naming first; the reasoning goes by it, too."""


def headline(comparison: Comparison) -> str:
    """Return the answer in one plain sentence: what is done, and the foremost reason."""
    if comparison.decision == "inconclusive":
        asked = "promoted all the same, as the model file asks"
        done = asked if comparison.promote else stays(comparison)
        return sentence(f"Inconclusive, {done}: {_unsettled(comparison)}{_settling(comparison)}")
    if comparison.promote:
        return sentence(f"Promote: {_proven(comparison)}")
    failed = [check for check in comparison.checks if check.verdict == "failed"]
    if not failed:
        return sentence(f"{_keep(comparison)}: it is not proven")
    foremost = min(failed, key=lambda check: FOREMOST.index(check.name))
    others = len(failed) - 1
    more = f" ({counted(others, 'more check')} failed, too)" if others else ""
    return sentence(f"{_keep(comparison)}: {_why_failed(foremost.name, comparison)}{more}")


def reason(comparison: Comparison) -> str:
    """Return the foremost reason alone, as part of a sentence.

    >>> from tests.comparisons import comparison
    >>> reason(comparison())
    'the new model is proven better than version 3'
    """
    return headline(comparison).partition(": ")[2].removesuffix(".")


def stays(comparison: Comparison) -> str:
    """Return what goes on serving, as part of a sentence."""
    number = comparison.champion_version
    return "nothing is released" if number is None else f"version {number} stays"


def champion_of(comparison: Comparison) -> str:
    """Return the champion's name."""
    number = comparison.champion_version
    return "the champion" if number is None else f"version {number}"


def has_margin(comparison: Comparison) -> bool:
    """Return whether the model file allows or asks for a difference."""
    return comparison.margin not in {"0", "0%"}


def clusters_of(number: int, clustered_by: str, more: str = "") -> str:
    """Return how many days (or other clusters), empty where rows stand for themselves."""
    if clustered_by == "row" or number <= 0:
        return ""
    if clustered_by == "day":
        return counted(number, f"{more}day")
    return f"{number:,} {more}values of {plain(clustered_by, particulars.LONGEST_NAME)}"


def sentence(text: str) -> str:
    """Return text as one sentence: a capital first, an end last, of bounded length.

    >>> sentence("gate.slices names 'x'"), sentence("kept: worse")
    ("gate.slices names 'x'.", 'Kept: worse.')
    """
    line = plain(text).strip()
    is_key = not line[:1].isalpha() or any(mark in line.split(" ", 1)[0][:-1] for mark in "_.")
    line = line if is_key else line[:1].upper() + line[1:]
    line = line if line.endswith((".", "!", "?", "…")) else f"{line}."
    return plain(line, LONGEST_SENTENCE)


def _keep(comparison: Comparison) -> str:
    number = comparison.champion_version
    return "Release nothing" if number is None else f"Keep version {number}"


def _proven(comparison: Comparison) -> str:
    if comparison.evidence.over_champion is None:
        why = (
            "there is no champion yet"
            if comparison.champion_version is None
            else f"it was not compared with {champion_of(comparison)}"
        )
        return f"the new model is proven better than {CONSTANT}; {why}"
    if comparison.policy == "superiority":
        return f"the new model is proven better than {champion_of(comparison)}{_by_margin(comparison)}"
    interval = comparison.evidence.over_champion.interval
    if interval and improvement(interval, higher_is_better=comparison.higher_is_better).low > 0:
        return f"the new model is proven better than {champion_of(comparison)}"
    allowed = f" by {comparison.margin} or more" if has_margin(comparison) else ""
    return f"the new model is proven not worse than {champion_of(comparison)}{allowed}"


def _why_failed(name: CheckName, comparison: Comparison) -> str:
    evidence = comparison.evidence
    match name:
        case "by_hand":
            words = next(check.words for check in comparison.checks if check.name == name)
            return words.removeprefix("kept: ")
        case "newer_champion":
            return f"{champion_of(comparison)} has learnt from these rows already, or from newer ones"
        case "champion":
            return _not_over_champion(comparison)
        case "baseline":
            return f"the new model does not beat {CONSTANT}"
        case "last_period":
            return f"the new model does not beat {CONSTANT}, that of the last period"
        case "slices":
            harmed = [part for part in evidence.slices if part.verdict == "harmed"]
            names = particulars.listed([particulars.name_of(part) for part in harmed], 2)
            unjudged = [words for check, words in evidence.problems if check == "slices"]
            if unjudged:
                return f"not every slice can be judged: {unjudged[0]}"
            return f"the new model harms {names}" if harmed else "not every slice is proven unharmed"
        case "fairness":
            return "the new model treats groups too differently"
        case "calibration":
            return "the new model's probabilities do not match what happens"
        case "serving":
            return "the new model is not fit to serve"
        case "leaks":
            return "the data may give the answer away"


def _not_over_champion(comparison: Comparison) -> str:
    over = comparison.evidence.over_champion
    champion = champion_of(comparison)
    if over is not None and over.identical:
        return f"the new model and {champion} answer alike on every row"
    if over is None or over.interval is None:
        return "the new model is not proven better"
    gain = improvement(over.interval, higher_is_better=comparison.higher_is_better)
    if gain.high < 0:
        return f"the new model is worse than {champion}"
    return f"the new model is not better than {champion}{_by_margin(comparison)}"


def _unsettled(comparison: Comparison) -> str:
    """Return what the rows could not tell."""
    name = _open_question(comparison)
    problem = _difference(name, comparison)
    if problem is not None and problem.problem:
        return problem.problem
    untold = [gap for gap in comparison.evidence.gaps if gap.problem]
    match name:
        case "champion" if comparison.policy == "superiority":
            than = f"is better than {champion_of(comparison)}{_by_margin(comparison)}"
        case "champion":
            than = f"is worse than {champion_of(comparison)}{_by_margin(comparison)}"
        case "baseline" | "last_period":
            than = f"beats {CONSTANT}"
        case "slices":
            than = "harms a slice"
        case "fairness" if untold:
            return f"groups of {plain(untold[0].column, 60)} cannot be compared: {untold[0].problem}"
        case "fairness":
            than = "treats groups alike enough"
        case "calibration":
            than = "gives probabilities that match what happens"
        case _:
            than = "may be released"
    return f"these rows cannot tell whether the new model {than}"


def _open_question(comparison: Comparison) -> CheckName:
    """Return the foremost of the checks that the rows could not settle."""
    open_ones = [check.name for check in comparison.checks if check.verdict == "inconclusive"]
    return min(open_ones, key=FOREMOST.index, default="champion")


def _difference(name: CheckName, comparison: Comparison) -> Difference | None:
    evidence = comparison.evidence
    match name:
        case "champion":
            return evidence.over_champion
        case "baseline":
            return evidence.over_baseline
        case "last_period":
            return evidence.over_last_period
        case _:
            return None


def _settling(comparison: Comparison) -> str:
    """Return what it would take to settle it."""
    settling, evidence = comparison.settling, comparison.evidence
    if settling is None:
        return ""
    margin = comparison.limit and _open_question(comparison) == "champion"
    of_margin = "distance from the margin" if margin else "difference"
    detectable = f"the smallest {of_margin} these rows could show is {short(settling.detectable, 2)}"
    if settling.rows is None:
        return f"; the difference seen is too close to call for any number of rows; {detectable}"
    rows = settling.rows - evidence.rows
    if rows <= 0:
        return f"; {detectable}"
    more = clusters_of((settling.clusters or 0) - evidence.clusters, evidence.clustered_by, "more ")
    days = f" ({more})" if more else ""
    return f"; it would take about {_about(rows)} more rows{days} to settle it; {detectable}"


def _about(number: int) -> str:
    """Return a count with two digits.

    >>> _about(1874)
    '1,900'
    """
    return f"{round(number, 2 - len(str(number))):,}"


def _by_margin(comparison: Comparison) -> str:
    return f" by more than {comparison.margin}" if has_margin(comparison) else ""
