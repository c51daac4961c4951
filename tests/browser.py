"""A real browser for pages: how they are laid out at several widths, and on how many sheets they print."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from waiting import HANG_SECONDS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAPER = 711  # pixels across a sheet of A4 within its margins
# What is wrong with how a page is laid out, as lines of text.
MEASURE = r"""
function faults(document, width) {
  const found = [], slack = 1.5;
  const shown = element => element.getClientRects().length > 0 && getComputedStyle(element).display !== 'none';
  const box = element => element.getBoundingClientRect();
  const said = element => (element.textContent || '').trim().replace(/\s+/g, ' ').slice(0, 40);
  const inside = (inner, outer) => inner.left >= outer.left - slack && inner.right <= outer.right + slack &&
    inner.top >= outer.top - slack && inner.bottom <= outer.bottom + slack;
  const overlap = (one, other) => Math.min(one.right, other.right) - Math.max(one.left, other.left) > slack &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > slack;
  const pairs = (elements, what) => elements.forEach((one, place) => elements.slice(place + 1).forEach(other => {
    if (overlap(box(one), box(other))) found.push(`${what} overlap: ${said(one)} | ${said(other)}`);
  }));
  const wide = document.documentElement.scrollWidth;
  if (wide > width) found.push(`the page is ${wide} wide`);
  for (const picture of document.querySelectorAll('svg.picture')) {
    if (!shown(picture)) { found.push('a picture is not shown'); continue; }
    if (box(picture).height < 40 || box(picture).width < 200) found.push(`too small: ${picture.getAttribute('aria-label')}`);
    const texts = [...picture.querySelectorAll('text')].filter(shown);
    pairs(texts, `words of ${picture.getAttribute('aria-label')}`);
    for (const mark of [...texts, ...picture.querySelectorAll('rect')])
      if (!inside(box(mark), box(picture))) found.push(`outside of ${picture.getAttribute('aria-label')}: ${mark.outerHTML}`);
    const bars = [...picture.querySelectorAll('rect.spent, rect.hatched, rect.level, rect.heat, rect.came, rect.went, rect.soon, rect.later')];
    for (const text of texts.filter(text => !text.classList.contains('cell')))
      for (const bar of bars) if (overlap(box(text), box(bar))) found.push(`a bar hides ${said(text)}`);
  }
  for (const words of document.querySelectorAll('main h1, main h2, main h3, main p, dt, dd, .keys li, summary, code, bdi, .when, .badge, th, td')) {
    if (!shown(words) || words.closest('details .scroll')) continue;  // a wide table of its own is scrolled
    const card = words.closest('.scroll, .card, main');
    if (!inside(box(words), box(card))) found.push(`leaves its box: ${said(words)}`);
    if (words.scrollWidth > words.clientWidth + slack && getComputedStyle(words).display !== 'inline')
      found.push(`is cut: ${said(words)}`);
  }
  for (const group of document.querySelectorAll('.tile, .reason li, .reason, .keys, tr, figure, header, main, .tiles, .figures, .reasons'))
    pairs([...group.children].filter(child => shown(child) && getComputedStyle(child).display !== 'inline'), group.className || group.tagName);
  for (const cell of document.querySelectorAll('.scroll'))
    if (!cell.closest('details') && cell.scrollWidth > cell.clientWidth + slack) found.push(`a table that is always shown is cut: ${said(cell)}`);
  return found;
}
"""


def run(folder: Path, *arguments: str) -> str:
    """What the browser writes to standard output; it calls nowhere."""
    assert CHROMIUM is not None
    profile = folder / "browser"
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--allow-file-access-from-files", f"--user-data-dir={profile}", "--virtual-time-budget=5000", *arguments,
        ],
        capture_output=True, text=True, timeout=HANG_SECONDS, check=True,
    )  # fmt: skip
    shutil.rmtree(profile, ignore_errors=True)
    return done.stdout


def faults(page: Path, *widths: int) -> dict[str, list[str]]:
    """What is wrong with a page's layout, by width: its details closed, then open; and as it would be printed."""
    text = page.read_text("utf-8")
    opened = page.with_name("opened.html")
    opened.write_text(text.replace("<details>", "<details open>"), "utf-8")
    paper = page.with_name("paper.html")
    paper.write_text(text.replace("@media print", "@media screen"), "utf-8")
    wanted = [(one, width) for one in (page, opened) for width in widths] + [(paper, PAPER)]
    frames = "".join(
        f'<iframe src="{one.name}" style="width:{width}px;height:900px;border:0" data-name="{one.stem} {width}"'
        f' data-width="{width}"></iframe>'
        for one, width in wanted
    )
    frame = page.with_name("frame.html")
    frame.write_text(
        f"<!doctype html><meta charset='utf-8'><body>{frames}<script>{MEASURE}"
        "window.onload = () => { const all = {}; for (const one of document.querySelectorAll('iframe'))"
        " all[one.dataset.name] = faults(one.contentDocument, +one.dataset.width);"
        " document.title = JSON.stringify(all); }</script>",
        "utf-8",
    )
    shown = run(page.parent, "--window-size=1400,1000", "--dump-dom", frame.as_uri())
    title = shown.partition("<title>")[2].partition("</title>")[0]
    found: dict[str, Any] = json.loads(title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return {name: lines for name, lines in found.items() if lines}


def sheets(page: Path) -> int:
    """On how many sheets of paper a page is printed."""
    paper = page.with_suffix(".pdf")
    run(page.parent, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())
    return len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
