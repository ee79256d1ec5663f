"""A headless Chromium that opens a page from disk, spoken to over a pair of pipes: no port is
opened, and no package is needed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for found in map(shutil.which, _NAMES) if found), None)
WHY_NOT = "there is no Chromium: apt-get install chromium"
#: Characters of a message that is sent or read at once.
_PIECE = 1 << 16


class Browser:
    """A tab, and what is asked of it through Chromium's DevTools protocol."""

    def __init__(self, given: int, taken: int) -> None:
        self._given, self._taken = given, taken
        self._rest, self._number, self._session = b"", 0, ""
        #: What the page has complained of, and addresses that it has asked for.
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """What a method answers."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._given, content[:_PIECE]) :]
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]
            self._note(found)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._taken, _PIECE)
            assert piece, "Chromium has ended"
            self._rest += piece
        content, _, self._rest = self._rest.partition(b"\0")
        return json.loads(content)

    def _note(self, event: dict[str, Any]) -> None:
        kind, told = event.get("method"), event.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif kind == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
            self.complaints.append(json.dumps(told["entry"]))
        elif kind == "Network.requestWillBeSent":
            self.addresses.append(told["request"]["url"])

    def show(self, page: Path, width: int, **media: str) -> None:
        """Opens a file on a screen of that width, and waits until it is there.

        Args:
            page: the file.
            width: points; below 500 it is a phone, which is touched.
            **media: features of CSS, with underscores.
        """
        phone = width < 500
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900,
                 deviceScaleFactor=2 if phone else 1, mobile=phone)  # fmt: skip
        self.ask("Emulation.setTouchEmulationEnabled", enabled=phone)
        features = [{"name": n.replace("_", "-"), "value": v} for n, v in media.items()]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.ask("Page.navigate", url=page.resolve().as_uri())
        self.value(
            "new Promise((done) => { if (document.readyState === 'complete') done();"
            " else addEventListener('load', done); })"
        )
        self.drawn()

    def open(self, page: Path, width: int, **media: str) -> None:
        """Shows a page that runs its program, and waits until its check has answered; see show."""
        self.show(page, width, **media)
        self.value(
            "new Promise((done) => { const look = () => {"
            " const text = document.getElementById('live-check')?.textContent ?? '';"
            " if (/differ|does not run/.test(text)) done(); else requestAnimationFrame(look); };"
            " look(); })"
        )
        self.drawn()

    def drawn(self) -> None:
        """Waits until what was changed is drawn."""
        self.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives."""
        found = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True,
                         returnByValue=True)  # fmt: skip
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, name: str) -> str:
        """The text of an element."""
        return self.value(f"document.getElementById({name!r}).textContent")

    def place(self, name: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element that is brought into view."""
        return tuple(self.value(
            f"(() => {{ const e = document.getElementById({name!r});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
        ))  # fmt: skip

    def press(self, key: str) -> None:
        """A key of the keyboard."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key)
        self.drawn()

    def drag(self, points: list[tuple[float, float]], touched: bool) -> None:
        """A stroke of a mouse or of a finger."""
        for i, (x, y) in enumerate(points):
            if touched:
                self.ask("Input.dispatchTouchEvent", type="touchMove" if i else "touchStart",
                         touchPoints=[{"x": x, "y": y}])  # fmt: skip
            else:
                self.ask("Input.dispatchMouseEvent", type="mouseMoved" if i else "mousePressed",
                         x=x, y=y, button="left", buttons=1, clickCount=1)  # fmt: skip
        x, y = points[-1]
        if touched:
            self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        else:
            self.ask("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left")
        self.drawn()

    def picture(self, path: Path) -> None:
        """The whole page as an image."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose files lie in a folder; it ends with the block."""
    assert CHROMIUM is not None
    child_reads, given = os.pipe()
    taken, child_writes = os.pipe()
    # Chromium reads commands from descriptor 3, and answers on 4.
    shell = f'exec "$0" "$@" 3<&{child_reads} 4>&{child_writes}'
    child = subprocess.Popen(
        ["bash", "-c", shell, CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
         "--no-first-run", "--disable-background-networking", f"--user-data-dir={folder}",
         "--remote-debugging-pipe"],
        pass_fds=(child_reads, child_writes), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(child_reads)
    os.close(child_writes)
    try:
        yield Browser(given, taken)
    finally:
        os.close(given)  # it ends when nobody speaks to it
        os.close(taken)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
