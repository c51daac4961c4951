"""Write docs/pictures anew: what a browser shows of the demo, for the README and docs/bi.md.

The report on a desk, on a phone and in the dark; Datasette; what the documented programs print for DuckDB and pandas.
Two were taken by hand, of the demo too: `superset.png` in a Superset 6.0 into which `deploy/superset` was imported, and
`spreadsheet.png` in LibreOffice 7.4, of what `syncer export bi_billing_monthly -o FILE.xlsx` wrote.
"""

import html
import importlib.util
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"
BI = Path(__file__).parent / "bi.md"
FIRST_ANSWER_SECONDS = 60
CELL = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: #fff; font: 13px/1.35 "DejaVu Sans Mono", monospace; color: #1b1f24; }
pre { margin: 0; padding: 14px 20px; font: inherit; white-space: pre-wrap; }
.asked { background: #f3f5f7; border-left: 4px solid #2f6f9f; }
</style><pre class="asked">ASKED</pre><pre>TOLD</pre>"""


class Shot(NamedTuple):
    """Which part of a page is taken, in pixels."""

    width: int
    height: int
    is_dark: bool = False


REPORTS = {  # language, size, what is left out
    "report.png": ("en", Shot(1280, 462), ""),
    "report-pictures.png": ("en", Shot(1280, 912, is_dark=True), "header, .tiles, .attention"),
    "report-phone.png": ("ru", Shot(390, 716), ""),
}
PROGRAMS = {  # the block of docs/bi.md
    "duckdb.png": ("python duckdb", Shot(920, 850)),
    "pandas.png": ("python sqlite", Shot(920, 530)),
}
OF_DATASETTE = "/syncer/bi_instances?_size=6&" + "&".join(
    f"_col={name}" for name in ("name", "status", "messenger", "tariff", "time_created", "age_days", "billable_days")
)


def main() -> None:
    """Needs Chromium; those of analysts' tools are left as they are where `make analysts` was not run."""
    PICTURES.mkdir(exist_ok=True)
    for name, (language, shot, left_out) in REPORTS.items():
        with demo(language) as folder:
            page = folder / "demo.html"
            if left_out:
                hidden = f"<style>{left_out} {{ display: none; }}</style></head>"
                page.write_text(page.read_text("utf-8").replace("</head>", hidden), "utf-8")
            take(page.as_uri(), name, shot, folder)
    if any(importlib.util.find_spec(name) is None for name in ("pandas", "duckdb", "datasette")):
        print("pictures: pandas, DuckDB or Datasette is not here: their pictures stay; run: make analysts")  # noqa: T201
        return
    with demo("en") as folder:
        (folder / "demo.db").rename(folder / "syncer.db")
        (folder / "examples").symlink_to(CHECKOUT / "examples")
        run(block("python extension"), folder)
        for name, (words, shot) in PROGRAMS.items():
            program = block(words)
            page = folder / f"{name}.html"
            page.write_text(
                CELL.replace("ASKED", html.escape(program)).replace("TOLD", html.escape(run(program, folder))), "utf-8"
            )
            take(page.as_uri(), name, shot, folder)
        with datasette(folder) as address:
            take(address + OF_DATASETTE, "datasette.png", Shot(1180, 940), folder)


@contextmanager
def demo(language: str) -> Iterator[Path]:
    """A folder with the demo's database and page."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "syncer", "demo", "--lang", language], cwd=folder, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        yield Path(folder)


def take(address: str, name: str, shot: Shot, folder: Path) -> None:
    """Have the browser take a picture of a page."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("pictures: there is no Chromium on this machine; install the package chromium")
    subprocess.run(  # noqa: S603 - a browser, shown our own page
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars", f"--user-data-dir={folder}/browser", f"--window-size={shot.width},{shot.height}",
            *(["--blink-settings=preferredColorScheme=0"] if shot.is_dark else []),
            f"--screenshot={PICTURES / name}", address,
        ],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(f"{folder}/browser", ignore_errors=True)


def block(words: str) -> str:
    """The block of docs/bi.md that is marked so."""
    (found,) = re.findall(rf"^```{words}\n(.*?)^```$", BI.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(found)


def run(program: str, folder: Path) -> str:
    """What a documented program prints."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


@contextmanager
def datasette(folder: Path) -> Iterator[str]:
    """The address of Datasette, started as documented."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", *shlex.split(block("sh datasette")), "--port", str(port)]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        for _try in range(FIRST_ANSWER_SECONDS * 10):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


if __name__ == "__main__":
    main()
