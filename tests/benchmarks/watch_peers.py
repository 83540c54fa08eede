"""Evidently and NannyML, each in an environment of its own: what they say of windows of rows.

    python -m tests.benchmarks.watch_peers --install DIR    make the environments (once, some minutes)

NannyML does not resolve beside Airflow, and neither package is needed but here.

An answer is a number for each thing that the peer judges and each window: how far it lies from what the
peer expects, in units of the peer's own default tolerance. The peer alarms where one exceeds 1; to scale
its thresholds by `m` is to compare with `m` instead, and nothing is measured again.

    evidently drift         value of the test that `DataDriftPreset` picks for the column, over 0.1
    evidently performance   |metric / reference - 1| over 20%, for the metrics of `ClassificationQuality`
    nannyml drift           (Jensen-Shannon - mean) / (3 standard deviations), both of reference chunks
    nannyml estimate        the same, both ways, of the area under the ROC curve that CBPE estimates
    nannyml performance     the same of the realised area
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Peer = Literal["evidently", "nannyml"]
Measure = Literal["drift", "estimate", "performance"]

# NannyML 0.13.1 imports statsmodels without asking for it.
PACKAGES: dict[Peer, tuple[str, ...]] = {
    "evidently": ("evidently==0.7.23", "pandas<3", "pyarrow"),
    "nannyml": ("nannyml==0.13.1", "pandas<3", "pyarrow", "statsmodels"),
}
DEFAULT_FOLDER = Path(os.environ.get("EVERGREEN_PEERS", Path.home() / ".cache" / "evergreen" / "peers"))
SCRIPT = Path(__file__).with_name("watch_peer.py")
LABEL, PROBABILITY = "label", "probability"


@dataclass(frozen=True, slots=True)
class Question:
    """Two Parquet files, and what is asked about each `rows` rows of the second.

    The reference has the columns of the windows; for all but drift both have `probability`, and where
    `label` is needed, that.
    """

    measure: Measure
    reference: str
    windows: str
    rows: int


def install(folder: Path) -> None:
    """Make an environment for each peer; one that is there is left alone."""
    for peer, packages in PACKAGES.items():
        if python_of(peer, folder).is_file() and _answers(peer, folder):
            continue
        venv.create(folder / peer, with_pip=True, clear=True)
        command = [str(python_of(peer, folder)), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True)


def python_of(peer: Peer, folder: Path) -> Path:
    """Return the peer's own Python."""
    return folder / peer / "bin" / "python"


def installed(folder: Path) -> bool:
    """Return whether both peers can be asked."""
    return all(python_of(peer, folder).is_file() for peer in PACKAGES)


def ask(peer: Peer, questions: Sequence[Question], folder: Path) -> list[dict[str, list[float]]]:
    """Return an answer for each question: by thing judged, a number for each window.

    Raises:
        RuntimeError: the peer failed; the message ends as its errors do.
    """
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place) / "asked.json", Path(place) / "answered.json"
        asked.write_text(json.dumps([asdict(each) for each in questions]), encoding="utf-8")
        done = subprocess.run(
            [str(python_of(peer, folder)), str(SCRIPT), peer, str(asked), str(answered)],
            env={**os.environ, **_QUIET},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{peer} failed: {done.stderr[-2000:]}")
        found: list[dict[str, list[float]]] = json.loads(answered.read_text(encoding="utf-8"))
        return found


_QUIET = {
    "NML_DISABLE_USAGE_LOGGING": "1",
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONPATH": "",
}


def _answers(peer: Peer, folder: Path) -> bool:
    command = [str(python_of(peer, folder)), "-c", f"import {peer}"]
    return not subprocess.run(command, env={**os.environ, **_QUIET}, capture_output=True).returncode


def main() -> None:
    """Install the peers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--install", type=Path, metavar="DIR", required=True, help="make both environments in there"
    )
    install(parser.parse_args().install)


if __name__ == "__main__":
    main()
