"""Waiting for what must happen, by a bound that only ends a hang: a test says nothing of how busy a machine is."""

import time
from collections.abc import Callable

HANG_SECONDS = 1800
SOON_SECONDS = 60  # what takes longer waits for something; what it would wait for comes later still, or never


def wait_for(condition: Callable[[], object]) -> None:
    """Until the condition holds."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in half an hour"
        time.sleep(0.02)
