"""A real MLflow server that keeps the models of clients which share no disk."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.serving.model_files import fetch
from evergreen.settings import Settings
from tests.contracts.trainer import train
from tests.training_runs import spec_of

_PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mlflow server` as its own documentation starts it, which keeps artifacts, too."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "kept")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | quiet,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        _wait_for(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_for(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the server does not answer:\n{log.read_text()[-3000:]}")


def test_a_model_trained_in_one_pod_is_fetched_in_another(server: str, tmp_path: Path) -> None:
    pod = tmp_path / "pod"
    settings = Settings.from_environment({"EVERGREEN_HOME": str(pod), "EVERGREEN_TRACKING": server})
    trainer = MlflowTrainer(settings.tracking_uri, settings.artifact_uri, settings.trusted_types)
    candidate = train(trainer, "k", spec_of("kept_by_the_server"))
    assert not pod.exists(), "a pod's disk goes away with it"

    into = fetch(candidate.model, settings.tracking_uri, tmp_path / "other pod")
    assert (into / "model.skops").is_file()
