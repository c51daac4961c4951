"""The entry, also of `python -m syncer`: light, so that Ctrl-C ends it in silence while the rest is loaded."""

import _signal  # type: ignore[import-not-found]  # of CPython, built in: `signal` takes long enough to be interrupted


def main() -> None:
    """Load the program and run it; where SIGINT means anything, it never ends in a traceback."""
    means_something = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
    if means_something:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from syncer.cli import main as program

    if means_something:
        program.listen_to_interrupts()
    program.main()


if __name__ == "__main__":
    main()
