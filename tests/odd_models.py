"""Models that misbehave when they are run. A test must name them as trusted to get that far."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pandas as pd


class Odd:
    """Predicts by doing what `deed` says."""

    def __init__(self, deed: str) -> None:
        self.deed = deed

    def predict(self, frame: Any) -> np.ndarray:
        getattr(self, self.deed)()
        return np.zeros(len(frame))

    def say_environment(self) -> None:
        sys.stderr.write("ENV " + " ".join(sorted(os.environ)) + "\n")
        sys.exit(5)

    def fail_with_secret(self) -> None:
        raise RuntimeError("cannot reach postgresql://bob:hunter22@db/x")

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def be_killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self) -> None:
        time.sleep(60)

    def start_program(self) -> None:
        subprocess.run(["true"], check=False)

    def answer_nothing(self) -> None:
        raise ValueError("columns are missing")


class Answering:
    """Predicts from columns `x` (numbers) and `c` (text) in the way that `manner` names."""

    def __init__(self, manner: str = "well") -> None:
        self.manner = manner

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        answer = getattr(self, self.manner)(frame)
        assert isinstance(answer, np.ndarray)
        return answer

    def well(self, frame: pd.DataFrame) -> np.ndarray:
        return 2 * frame["x"].fillna(0.0).to_numpy() + frame["c"].isin(["a"]).to_numpy()

    def by_chance(self, frame: pd.DataFrame) -> np.ndarray:
        return self.well(frame) + np.random.default_rng().random(len(frame))

    def by_process(self, frame: pd.DataFrame) -> np.ndarray:
        return self.well(frame) + os.getpid()

    def by_company(self, frame: pd.DataFrame) -> np.ndarray:
        answer = self.well(frame)
        return answer - answer.mean()

    def a_little_by_company(self, frame: pd.DataFrame) -> np.ndarray:
        return self.well(frame) + 1e-12 * len(frame)

    def not_nulls(self, frame: pd.DataFrame) -> np.ndarray:
        if frame["x"].isna().any():
            raise ValueError("x is missing")
        return self.well(frame)

    def not_nulls_with_secret(self, frame: pd.DataFrame) -> np.ndarray:
        if frame["x"].isna().any():
            raise RuntimeError("cannot reach postgresql://bob:hunter22@db/x")
        return self.well(frame)

    def not_the_unseen(self, frame: pd.DataFrame) -> np.ndarray:
        known = frame["c"].isna() | frame["c"].isin(["a", "b"])
        return np.where(known, self.well(frame), np.nan)

    def not_one_alone(self, frame: pd.DataFrame) -> np.ndarray:
        return np.squeeze(self.well(frame))

    def never(self, frame: pd.DataFrame) -> np.ndarray:
        raise KeyError("y")

    def out_of_memory(self, frame: pd.DataFrame) -> np.ndarray:
        raise MemoryError("no room")

    def starting_a_program(self, frame: pd.DataFrame) -> np.ndarray:
        subprocess.run(["true"], check=False)
        return self.well(frame)
