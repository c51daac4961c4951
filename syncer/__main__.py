"""The entry, also of `python -m syncer`: light, so that Ctrl-C ends it in silence while the rest is loaded."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the program and run it; where SIGINT means anything, it never ends in a traceback."""
    means_something = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if means_something:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from syncer.cli import main as program

    if means_something:
        program.listen_to_interrupts()
    program.main()


if __name__ == "__main__":
    main()
