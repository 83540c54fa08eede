"""What no single call shows: a wrong clock, no more file descriptors, a disk that fills up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evergreen.errors import LedgerUnavailable
from evergreen.ledger import open_ledger
from evergreen.ledger.store import SqlLedger
from evergreen.ports import Lease
from tests.knife import space

HERE = Path(__file__).parent
DAY = 24 * 3600
ACQUIRE = """
import json, sys, time
from evergreen.errors import LeaseHeld
from evergreen.ledger import open_ledger
ledger = open_ledger(sys.argv[1], 600)
try:
    lease = ledger.acquire("m", sys.argv[2])
    entry = ledger.append("snapshot", f"snapshot/{sys.argv[2]}", {}, lease)
    print(json.dumps(["appended", time.time(), entry.at.timestamp()]))
except LeaseHeld:
    print(json.dumps(["LeaseHeld", time.time(), None]))
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler, with which to make a wrong clock")
    made = tmp_path_factory.mktemp("clock") / "clock_shift.so"
    source = HERE / "clock_shift.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


def with_clock(shim: Path, shift_seconds: int, *arguments: str) -> list:
    environment = {**os.environ, "LD_PRELOAD": str(shim), "CLOCK_SHIFT_SECONDS": str(shift_seconds)}
    command = [sys.executable, "-c", ACQUIRE, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.needs_postgres
def test_a_process_with_a_wrong_clock_takes_no_lease_from_anyone(postgres_database, shim):
    ledger = open_ledger(postgres_database, 600)
    now = ledger.append("snapshot", "snapshot/m/run", {}, ledger.acquire("m", "m/run")).at.timestamp()
    for shift in (-DAY, DAY):
        answer, its_clock, _ = with_clock(shim, shift, postgres_database, "m/other")
        assert abs(its_clock - now - shift) < 3600, "its clock is wrong indeed"
        assert answer == "LeaseHeld"
    answer, its_clock, at = with_clock(shim, DAY, postgres_database, "m/run")
    assert answer == "appended"
    assert abs(at - now) < 3600 < its_clock - now, "the entry bears the database's time"
    assert ledger.verify().ok
    ledger.close()


FEW_FILES = """
import os, resource, sys
from evergreen.errors import LedgerUnavailable
from evergreen.ledger import open_ledger
open_ledger(sys.argv[1], 600).close()  # loads what is needed
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
ledger = open_ledger(sys.argv[1], 600, wait_seconds=0.2)
lease = ledger.acquire("m", "m/run")
for number in range(200):
    ledger.append("snapshot", f"snapshot/m/{number}", {}, lease)
ledger.close()
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
try:
    open_ledger(sys.argv[1], 600, wait_seconds=0.2)
except LedgerUnavailable as error:
    print("LedgerUnavailable")
for handle in taken:
    os.close(handle)
ledger = open_ledger(sys.argv[1], 600)
assert ledger.append("snapshot", "snapshot/m/last", {}, ledger.acquire("m", "m/run")).seq == 201
"""


def test_64_files_are_enough_and_without_one_the_error_is_clear_and_passes(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    command = [sys.executable, "-c", FEW_FILES, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "LedgerUnavailable\n"), done.stderr
    ledger = open_ledger(url, 600)
    audit = ledger.verify()
    assert (audit.ok, audit.count) == (True, 201)
    ledger.close()


@pytest.mark.parametrize("size", ["256k", "512k"])
def test_a_full_disk_is_a_clear_error_and_loses_nothing_acknowledged(tmp_path, size):
    if why := space.missing():
        pytest.skip(why)
    folder = tmp_path / "disk"
    with space.small_disk(folder, size):
        url = f"sqlite:///{folder / 'ledger.db'}"
        ledger = open_ledger(url, 600, wait_seconds=0.2)
        lease, seqs = ledger.acquire("m", "m/run"), []
        with pytest.raises(LedgerUnavailable):
            append_for_ever(ledger, lease, seqs)
        acknowledged = len(seqs)
        assert 0 < acknowledged < 1000
        assert [entry.seq for entry in ledger.entries()] == list(range(1, acknowledged + 1))
        assert ledger.verify().ok
        space.give_space(folder)
        assert ledger.append("snapshot", "snapshot/m/last", {}, lease).seq == acknowledged + 1
        assert ledger.verify().ok
        ledger.close()


def append_for_ever(ledger: SqlLedger, lease: Lease, seqs: list[int]) -> None:
    while True:
        body = {"text": "x" * 4000}
        seqs.append(ledger.append("snapshot", f"snapshot/m/{len(seqs)}", body, lease).seq)
