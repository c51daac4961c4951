"""Write docs/pictures anew: the demo's page as a browser shows it, on a desk, on a phone and in the dark."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"
SHOTS = {  # language, width, height, dark, what is left out
    "report.png": ("en", 1280, 462, False, ""),
    "report-pictures.png": ("en", 1280, 912, True, "header, .tiles, .attention"),
    "report-phone.png": ("ru", 390, 716, False, ""),
}


def main() -> None:
    """Needs Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("pictures: there is no Chromium on this machine; install the package chromium")
    PICTURES.mkdir(exist_ok=True)
    for name, (language, width, height, is_dark, left_out) in SHOTS.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-m", "syncer", "demo", "--lang", language], cwd=folder, check=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            page = Path(folder) / "demo.html"
            if left_out:
                hidden = f"<style>{left_out} {{ display: none; }}</style></head>"
                page.write_text(page.read_text("utf-8").replace("</head>", hidden), "utf-8")
            subprocess.run(  # noqa: S603 - a browser, shown our own page
                [
                    browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--hide-scrollbars", f"--user-data-dir={folder}/browser", f"--window-size={width},{height}",
                    *(["--blink-settings=preferredColorScheme=0"] if is_dark else []),
                    f"--screenshot={PICTURES / name}", page.as_uri(),
                ],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            shutil.rmtree(f"{folder}/browser", ignore_errors=True)


if __name__ == "__main__":
    main()
