"""Draw ``demo.svg``: what ``asyncsecrets demo`` prints, run now, as a picture of a terminal. Needs ``rich``.

    python docs/assets/demo.py

Nothing in the picture comes from elsewhere: its fonts are those of whoever looks at it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE = Path(__file__).with_name("demo.svg")

_INK = (214, 217, 224)
_DARK = TerminalTheme(
    (24, 26, 32),
    _INK,
    [(24, 26, 32), (240, 113, 120), (140, 207, 126), (229, 192, 123), (110, 168, 254), (198, 146, 233), _INK, _INK],
)
_STYLES = {
    r"^\d  .{13}": "bold blue",
    r"asyncsecrets +1 .*$": "bold green",
    r"every promise held": "bold green",
    r"0 errors": "green",
    r"^\$ .*$": "bold",
}
_FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>asyncsecrets demo</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def picture(output: str) -> str:
    """``output`` of the command as SVG."""
    text = Text(f"$ asyncsecrets demo\n{output.rstrip()}")
    for pattern, style in _STYLES.items():
        for line in _matches(text, pattern):
            text.stylize(style, *line)
    console = Console(record=True, width=max(map(len, text.plain.splitlines())) + 1, file=StringIO())
    console.print(text)
    return console.export_svg(title="", theme=_DARK, code_format=_FRAME, unique_id="demo")


def _matches(text: Text, pattern: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(pattern, text.plain, flags=re.MULTILINE)]


if __name__ == "__main__":
    shown = subprocess.run([sys.executable, "-m", "asyncsecrets", "demo"], capture_output=True, text=True, check=True)
    PICTURE.write_text(picture(shown.stdout))
