"""What `syncer sync` imports: milliseconds that each package's own modules take. `make bench-imports` runs it."""

import statistics
import subprocess
import sys
from collections import Counter, defaultdict

MODULES = "syncer.cli.mirror_commands, syncer.daemon.leased_runs, syncer.terminal.printing, sqlalchemy.dialects.sqlite"
REPEAT = 5
SHOWN_FROM_MILLISECONDS = 5.0


def milliseconds() -> Counter[str]:
    """By top-level package, from the interpreter's own clock."""
    program = f"from syncer.cli import main; main.start_lightly(); import {MODULES}"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program], capture_output=True, text=True, check=True
    )
    spent: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            package = rest.partition("|")[2].strip().partition(".")[0]
            spent["the standard library" if package in sys.stdlib_module_names else package] += int(own)
    return spent


def main() -> None:
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(REPEAT):
        for package, own in milliseconds().items():
            found[package].append(own / 1000)
    medians = {package: statistics.median(times) for package, times in found.items()}
    print("| package | ms |\n|---|---|")
    for package, took in sorted(medians.items(), key=lambda pair: -pair[1]):
        if took >= SHOWN_FROM_MILLISECONDS:
            print(f"| {package} | {took:.0f} |")
    print(f"| all | {sum(medians.values()):.0f} |")


if __name__ == "__main__":
    main()
