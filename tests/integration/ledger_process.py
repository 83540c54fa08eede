"""What the ledger's tests run in processes of their own, to be killed and stopped."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from evergreen.errors import EvergreenError
from evergreen.ledger import open_ledger, store

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
NOBODY = 65534


def start(target, *arguments):
    """Start a function of this module in a process that shares nothing with the test's."""
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


@contextmanager
def say_failure(told):
    """Say an error of ours by its name, instead of ending with a traceback."""
    try:
        yield
    except EvergreenError as error:
        say(told, [type(error).__name__])


def await_stopped(process):
    """Return once the process has stopped itself."""
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        assert process.is_alive()
        time.sleep(0.01)


def say(path, value):
    """Append a line to a file in one write, so that a kill leaves a whole line or none."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, json.dumps(value).encode() + b"\n")
    os.close(handle)


def said(path):
    path = Path(path)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(url, name, first, count, acknowledged):
    """Append entries under the lease of a model of our own, saying each once it was acknowledged."""
    ledger = open_ledger(url, 600)
    lease = ledger.acquire(name, f"{name}/run")
    for number in range(first, first + count):
        entry = ledger.append("snapshot", f"snapshot/{name}/{number}", {"n": number}, lease)
        say(acknowledged, [entry.seq, entry.key, entry.hash])
    ledger.close()


def append_once(url, wait_seconds, told):
    """Append one entry of model `m` and say how it went."""
    with say_failure(told):
        ledger = open_ledger(url, 600, wait_seconds=wait_seconds)
        lease = ledger.acquire("m", "m/run")
        entry = ledger.append("snapshot", "snapshot/m/run", {}, lease)
        say(told, ["appended", entry.seq])


def append_once_dying_at(name, url, wait_seconds, told):
    os.environ["EVERGREEN_FAIL"] = name
    append_once(url, wait_seconds, told)


def append_once_stopping_before_commit(url, wait_seconds, told):
    """Stop in the middle of the write transaction; go on when told to."""
    stopped = []

    def stop(name):
        if name == "ledger.before_commit" and not stopped:
            stopped.append(name)
            os.kill(os.getpid(), signal.SIGSTOP)

    store.failpoint = stop
    append_once(url, wait_seconds, told)


def hold_a_short_lease_stop_and_append(url, lease_seconds, told):
    """Be the zombie: stop past the lease while it is kept, wake up and write on."""
    with say_failure(told):
        ledger = open_ledger(url, lease_seconds)
        lease = ledger.acquire("m", "m/zombie")
        with ledger.keep(lease):
            os.kill(os.getpid(), signal.SIGSTOP)
            ledger.append("release", "release/zombie", {}, lease, expected_release=None)
            say(told, ["appended"])


def open_at(moment, url, told):
    """Open the ledger at an instant, with others."""
    with say_failure(told):
        time.sleep(max(moment - time.time(), 0))
        open_ledger(url, 600).close()
        say(told, ["opened"])


def acquire_at(moment, url, holder, told):
    """Take the lease of model `m` at an instant, with others."""
    with say_failure(told):
        ledger = open_ledger(url, 600)
        time.sleep(max(moment - time.time(), 0))
        say(told, ["acquired", ledger.acquire("m", holder).epoch])
        ledger.close()


def open_as_nobody(url, pipe):
    """Open the ledger and write, as a user without any right to the folder but to read it."""
    open_ledger(url, 600).close()  # loads what nobody may not be able to read
    with suppress(PermissionError):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        ledger = open_ledger(url, 600, wait_seconds=0.2)
        ledger.acquire("m", "m/run")
        pipe.send("opened")
    except EvergreenError as error:
        pipe.send(f"{type(error).__name__} {error}")
