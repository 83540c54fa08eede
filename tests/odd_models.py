"""Models that misbehave when they are run. A test must name them as trusted to get that far."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np


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
