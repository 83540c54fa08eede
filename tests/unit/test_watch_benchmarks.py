"""The delay benchmark's streams drift as they say, and its rules are made equal as it says."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from evergreen.drift import measure as drift_measure
from evergreen.drift.chance import chance_of
from evergreen.gate_spec import Gate
from evergreen.monitor_spec import Monitor
from tests.benchmarks import watch_alarms, watch_delay, watch_ours, watch_peers
from tests.benchmarks.trials import generator
from tests.benchmarks.watch_alarms import LABELLED, OURS, UNLABELLED, Alarms
from tests.benchmarks.watch_delay import DRIFTS, SMALLER, batched
from tests.benchmarks.watch_noticed import delay, figures, multiplier_for
from tests.benchmarks.watch_ours import Days, Watch, monitor, remembering
from tests.benchmarks.watch_peers import Question
from tests.benchmarks.watch_streams import (
    CATEGORIES,
    CHANGED,
    CHECKS,
    COLUMNS,
    RAMP,
    SPELL,
    Drift,
    Stream,
    draw,
    predicted,
    stream,
)


@pytest.fixture(scope="module")
def quiet() -> Stream:
    return stream(0, "unit", 200, 1_000)


def after(quiet: Stream, drift: Drift) -> tuple[np.ndarray, np.ndarray]:
    """Return the changed column from the onset on, without and with the drift."""
    name = CHANGED[drift.change]
    drifted, _ = quiet.after_onset(drift)
    return quiet.rows.columns[name][-len(drifted) :], drifted.columns[name]


@pytest.mark.parametrize(
    ("drift", "change"),
    [
        (Drift("location", 0.3), lambda old: old + 0.3),
        (Drift("scale", 1.5), lambda old: 50 + 1.5 * (old - 50)),
        (Drift("skewed", 1.2), lambda old: 1.2 * old),
    ],
)
def test_a_sudden_drift_has_its_whole_size_from_the_onset_on(quiet, drift, change):
    old, new = after(quiet, drift)
    assert len(new) == (CHECKS - quiet.onset) * quiet.rows_a_check
    np.testing.assert_allclose(new, change(old))


def test_the_numbers_that_move_have_the_deviations_they_are_measured_in():
    columns = draw(generator("unit"), 200_000).columns
    assert columns["normal"].std() == pytest.approx(1, abs=0.01)
    assert columns["normal_2"].mean() == pytest.approx(50, abs=0.1)


def test_one_category_gets_its_share_and_the_others_give_alike(quiet):
    old, new = after(quiet, Drift("category", 0.22))
    shares = np.bincount(new, minlength=10) / len(new)
    assert shares[-1] == pytest.approx(0.22, abs=0.02)
    assert shares[:-1] == pytest.approx([0.78 / 9] * 9, abs=0.02)
    assert (new[new != old] == 9).all()


def test_a_drift_changes_one_column_and_nothing_else(quiet):
    for drift in (drift for drift in DRIFTS if drift.change != "relation"):
        drifted, _ = quiet.after_onset(drift)
        kept = quiet.rows.only(slice(quiet.onset * quiet.rows_a_check, None))
        changed = [
            name
            for name in COLUMNS
            if not np.array_equal(drifted.columns[name], kept.columns[name], equal_nan=True)
        ]
        assert changed == [CHANGED[drift.change]]


def test_a_relation_that_changes_moves_labels_alone_and_not_how_many_there_are():
    large = Stream(*(draw(generator("unit", n), 90_000) for n in (1, 2)), 45, 1_000)
    drifted, labels = large.after_onset(Drift("relation", 1.0))
    before = large.rows.labels()[-len(labels) :]
    feature = drifted.columns["normal"]
    assert labels.mean() == pytest.approx(before.mean(), abs=0.01)
    assert np.corrcoef(feature, before)[0, 1] > 0.4
    assert np.corrcoef(feature, labels)[0, 1] == pytest.approx(0, abs=0.02)


def test_a_gradual_drift_grows_and_a_recurring_one_comes_and_goes():
    gradual = Drift("location", 1, "gradual").strength(40)
    assert gradual[39] == 0
    assert gradual[40] == pytest.approx(1 / RAMP)
    assert gradual[40 + RAMP :].tolist() == [1] * (CHECKS - 40 - RAMP)
    recurring = Drift("location", 1, "recurring").strength(40)
    assert recurring[:40].sum() == 0
    assert recurring[40:].reshape(-1, SPELL)[:, 0].tolist() == [1, 0, 1, 0, 1]


def test_streams_without_drift_have_the_shares_they_say(quiet):
    columns = draw(generator("unit"), 100_000).columns
    for name, shares in CATEGORIES.items():
        known = columns[name][columns[name] >= 0]
        assert np.bincount(known) / len(known) == pytest.approx(shares, abs=0.01)
    assert np.isnan(columns["exponential"]).mean() == pytest.approx(0.05, abs=0.005)
    again, other = stream(0, "unit", 200, 1_000), stream(0, "tune", 200, 1_000)
    assert np.array_equal(again.rows.columns["normal"], quiet.rows.columns["normal"])
    assert not np.array_equal(other.rows.columns["normal"], quiet.rows.columns["normal"])


def test_rows_go_to_the_peers_as_numbers_with_nulls_and_text(quiet):
    table = quiet.reference.table()
    assert [str(field.type) for field in table.schema] == ["double"] * 12 + ["string"] * 8
    missing = {name for name in COLUMNS if table[name].null_count}
    assert missing == {"exponential", "five"}
    assert set(table["ten"].to_pylist()) == {f"ten_{code:02}" for code in range(10)}


@pytest.mark.parametrize("rate", [1 / CHECKS, 0.05, 0.2])
def test_tuned_thresholds_give_the_rate_on_the_streams_they_were_tuned_on(rate):
    excess = generator("unit").lognormal(0, 1, 9_000)
    assert (excess > multiplier_for(excess, rate)).mean() == pytest.approx(rate)


def test_a_delay_counts_from_the_onset_and_leaves_out_what_was_in_alarm_before():
    alarmed = np.zeros(CHECKS, dtype=bool)
    assert delay(alarmed, 30) == np.inf
    alarmed[[10, 30]] = True
    assert delay(alarmed, 30) == 1
    assert delay(alarmed, 21) == 10
    assert delay(alarmed, 31) is None


def invented(number: int, late: float) -> Alarms:
    """Return alarms with a quiet time before the onset and, with ours, an alarm `late` checks after."""
    rng, onset = generator("unit", number), 40
    excess = {}
    for rule in (*UNLABELLED, *LABELLED):
        for drift in (None, *(d for d in DRIFTS if (d.change == "relation") == (rule in LABELLED))):
            series = rng.uniform(0, 0.9, CHECKS)
            if drift is not None:
                series[onset + int(late if rule in OURS else 5) :] = 2.0
            excess[rule, drift] = series
    return Alarms(onset, excess)


@pytest.mark.parametrize(("late", "holds"), [(3, True), (7, False)])
def test_the_claim_of_delay_holds_where_no_peer_is_sooner(late, holds, tmp_path):
    found = figures([invented(n, late) for n in range(4)], [invented(n, late) for n in range(4, 8)])
    text = watch_delay.markdown((found, found))
    assert found.noticed["Evergreen", DRIFTS[0]].median == late + 1
    assert found.noticed["Evidently", DRIFTS[0]].median <= 6
    assert ("**Holds:** its median delay" in text) is holds
    assert "nan" not in text
    if holds:
        watch_delay.draw((found, found), tmp_path / "plot.png")
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_changes_in_larger_windows_are_as_hard_to_see():
    assert Drift("location", 0.045) in SMALLER
    assert Drift("scale", 1.067) in SMALLER
    assert Drift("category", 0.113) in SMALLER
    assert {drift.change for drift in SMALLER} == {drift.change for drift in DRIFTS}


def test_streams_are_done_in_portions():
    assert batched(5, 2) == [(0, 1), (2, 3), (4,)]


def test_a_peer_that_fails_says_why(tmp_path):
    for peer in watch_peers.PACKAGES:
        python = watch_peers.python_of(peer, tmp_path)
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\necho no such column >&2\nexit 1\n")
        python.chmod(0o755)
    assert watch_peers.installed(tmp_path)
    question = Question("drift", str(tmp_path / "none.parquet"), str(tmp_path / "none.parquet"), 100)
    with pytest.raises(RuntimeError, match="evidently failed: no such column"):
        watch_peers.ask("evidently", [question], tmp_path)


def test_a_run_without_peers_says_how_they_are_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(watch_delay, "DEFAULT_FOLDER", tmp_path)
    with pytest.raises(SystemExit, match="watch_peers --install"):
        watch_delay.measure(1)


def test_the_watch_is_that_of_a_model_file_that_says_nothing_but_when():
    plain = Monitor.model_validate({"schedule": "@daily", "window": "1 day"})
    assert monitor() == plain
    assert Gate.model_validate({"metric": "log_loss"}).margin.amount == 0


def test_what_is_remembered_is_what_would_be_reckoned_anew(quiet, monkeypatch):
    monkeypatch.setattr(watch_ours, "importance", dict)
    known = Days(quiet.reference, predicted(quiet.reference), quiet.reference.labels())
    watch = Watch(known, quiet.rows_a_check, monitor())
    rows = quiet.rows.only(slice(0, quiet.rows_a_check))
    plain = watch.verdict(0, rows, predicted(rows))
    with remembering():
        assert [watch.verdict(0, rows, predicted(rows)) for _ in range(2)] == [plain, plain]
    assert drift_measure.chance_of is chance_of


def test_alarms_of_a_stream_are_taken_from_the_peers_answers_in_their_order(monkeypatch):
    drifts = (Drift("location", 0.2), Drift("category", 0.2), Drift("relation", 0.2))

    def told(peer, questions, folder):
        return [answer_of(each) for each in questions]

    def answer_of(question):
        checks = pq.read_metadata(question.windows).num_rows // question.rows
        names = pq.read_schema(question.windows).names if question.measure == "drift" else ["roc_auc"]
        alone = question.measure == "drift" and len(names) == 1 and names != ["probability"]
        return {name: [5.0 if alone or n >= CHECKS else 0.5 for n in range(checks)] for name in names}

    monkeypatch.setattr(watch_alarms, "ask", told)
    monkeypatch.setattr(watch_alarms._Asked, "_ours", lambda _: {})
    (one,) = watch_alarms.alarms(watch_alarms.Part("test", (0,), 50, 500, drifts))
    after_onset = one.excess["NannyML and CBPE", drifts[0]][one.onset :]
    assert (after_onset == 5.0).all()
    labelled = one.excess["Evidently, labels", drifts[2]]
    assert (labelled[: one.onset] == 0.5).all()
    assert (labelled[one.onset :] == 5.0).all()
    assert {len(values) for values in one.excess.values()} == {CHECKS}
