"""Lines of syncer and its migrations, as they are executed; a process can be killed at one of them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

from syncer import __file__ as package

CHECKOUT = str(Path(package).parent.parent) + "/"
FOLDERS = (f"{CHECKOUT}syncer/", f"{CHECKOUT}migrations/")
Line = tuple[str, int]


class Tracer:
    """Calls `at` with each line that is executed; with a place, only where that line is."""

    def __init__(self, at: Callable[[Line], None], place: Line | None = None) -> None:
        self._at = at
        self._place = place
        self._traced: dict[CodeType, bool] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> "Tracer | None":
        code = frame.f_code
        is_traced = self._traced.get(code)
        if is_traced is None:
            is_traced = self._traced[code] = self._is_traced(code)
        if not is_traced:
            return None
        if event == "line":
            self._at((code.co_filename.removeprefix(CHECKOUT), frame.f_lineno))
        return self

    def _is_traced(self, code: CodeType) -> bool:
        if self._place is None:
            return code.co_filename.startswith(FOLDERS)
        file, number = self._place
        return code.co_filename == f"{CHECKOUT}{file}" and any(line == number for _, _, line in code.co_lines())


def kill_at(place: Line, hit: int) -> Tracer:
    """SIGKILL when a line is about to be executed for the `hit`-th time."""
    left = hit

    def at(line: Line) -> None:
        nonlocal left
        if line == place:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    return Tracer(at, place)
