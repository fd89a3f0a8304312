"""A signal ends a command with one sentence, also where it falls into a query of DuckDB."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import duckdb
import pytest

from ifcurate.cli.stopping import INTERRUPTED, TERMINATED, stopping_in_order

SECONDS_OF_WORK = "select sum(a.i * b.i) from range(10000000) a(i), range(1000) b(i)"


@pytest.fixture(autouse=True)
def as_on_a_terminal() -> Iterator[None]:
    """Ctrl-C interrupts, though tests may run in the background of a shell, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send_soon(number: signal.Signals) -> None:
    threading.Timer(0.2, lambda: os.kill(os.getpid(), number)).start()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_a_signal_within_a_query(number: signal.Signals, code: int) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, stopping_in_order():
        send_soon(number)
        duckdb.execute(SECONDS_OF_WORK).fetchall()
    assert stop.value.code == code
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_what_was_not_asked_for_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), stopping_in_order():
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), stopping_in_order():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(SystemExit) as stop, stopping_in_order():
        sys.exit(3)
    assert stop.value.code == 3


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping_in_order():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
