"""What every check of `syncer doctor` goes by."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from syncer.doctor.finding import Clock
from syncer.scrub import Scrubber
from syncer.settings.config import AccountSettings, Settings


class Consultation(NamedTuple):
    """Settings that could be read, the accounts among them that are asked about, and what a call needs besides.

    `scrub` learns every token that is read; `on_try` is told why a call is tried again.
    """

    settings: Settings
    accounts: Sequence[AccountSettings]
    scrub: Scrubber
    clock: Clock
    stop: threading.Event
    on_try: Callable[[str], None] = lambda _why: None
