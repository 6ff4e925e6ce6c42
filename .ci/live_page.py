"""Drives the page of `cargo demo --page` in a real browser: clicks each button, and waits until both sides are equal.

The browser is a headless Chromium, spoken to in its DevTools protocol over a pipe, so nothing but Python is needed.
A click is one of the mouse at the place where the button is shown; one order goes by the keyboard.
"""

import argparse
import base64
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import small_png

DEMO = ["cargo", "demo", "--page", "--items", "1000"]
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
DESKTOP = {"width": 1000, "height": 900, "deviceScaleFactor": 1, "mobile": False}
TROUBLES = ["kill", "again", "poison", "engine", "stream"]
# Compiling included, where nothing is compiled yet.
OPENS_WITHIN = 1500
LIVE_WITHIN = 300
CONVERGES_WITHIN = 240
ENDS_WITHIN = 180


class Demo:
    """A run of the demo, with the lines that it prints."""

    def __init__(self):
        self.lines = []
        self.url = None
        self.process = subprocess.Popen(
            DEMO, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            self.lines.append(line)
            print(f"  demo | {line}", flush=True)
            if found := re.search(r"the page is at (http://\S+)", line):
                self.url = found.group(1)

    def wait_for_url(self):
        wait("the demo opens its page", OPENS_WITHIN, lambda: self.url or self.process.poll() is not None)
        if not self.url:
            raise SystemExit("the demo ended before it opened its page")
        return self.url

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


class Browser:
    """A headless Chromium with one page."""

    def __init__(self, program, profile):
        # The browser reads commands from descriptor 3 and writes to 4: JSON, each ended by a zero byte.
        reader, self.to_browser = os.pipe()
        self.from_browser, writer = os.pipe()
        arguments = [program, "--headless", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--hide-scrollbars", "--disable-lcd-text"]
        arguments += ["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "about:blank"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        # The shell moves the pipe's ends to where the browser looks for them.
        script = f'exec "$@" 3<&{reader} 4>&{writer}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *arguments], pass_fds=(reader, writer), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(reader)
        os.close(writer)
        self.numbers = itertools.count(1)
        self.answers, self.problems, self.requests = {}, [], []
        self.arrived = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def read(self):
        rest = b""
        while part := os.read(self.from_browser, 1 << 16):
            *messages, rest = (rest + part).split(b"\0")
            for message in map(json.loads, messages):
                with self.arrived:
                    if "id" in message:
                        self.answers[message["id"]] = message
                    else:
                        self.note(message["method"], message.get("params", {}))
                    self.arrived.notify_all()

    def note(self, method, event):
        """Keeps what must not happen: errors of the script, refusals of the policy, requests to elsewhere."""
        if method == "Runtime.exceptionThrown":
            self.problems.append(event["exceptionDetails"].get("exception", {}).get("description", str(event)))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning"):
            self.problems.append(str(event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.problems.append(event["entry"]["text"] + " " + event["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])

    def send(self, method, **params):
        number = next(self.numbers)
        command = {"id": number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(command).encode() + b"\0")
        with self.arrived:
            if not self.arrived.wait_for(lambda: number in self.answers, timeout=60):
                raise SystemExit(f"the browser does not answer to {method}")
            answer = self.answers.pop(number)
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    def evaluate(self, expression):
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.textContent ?? null")

    def click(self, selector):
        """Clicks with the mouse in the middle of what is shown; it must be the uppermost thing there."""
        element = f"document.querySelector({json.dumps(selector)})"
        x, y, hit = self.evaluate(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            "const [x, y] = [r.x + r.width / 2, r.y + r.height / 2]; return [x, y, document.elementFromPoint(x, y) === e]; })()"
        )
        assert hit, f"{selector} is covered by something else"
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press_enter(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        self.send("Input.dispatchKeyEvent", type="keyDown", **key)
        self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    def show(self, device, scheme):
        self.send("Emulation.setDeviceMetricsOverride", **device)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        # The page draws twice a second.
        time.sleep(1.2)
        overflow = self.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"the page is {overflow} pixels too wide on a screen of {device['width']}"

    def picture(self, file):
        self.evaluate("window.scrollTo(0, 0)")
        png = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]
        file.write_bytes(small_png.small(base64.b64decode(png)))
        print(f"{file}: {file.stat().st_size / 1000:.0f} KB", flush=True)

    def stop(self):
        self.process.kill()
        self.process.wait()


def wait(what, limit, condition):
    begun = time.monotonic()
    while not (value := condition()):
        if time.monotonic() - begun > limit:
            raise SystemExit(f"not within {limit} s: {what}")
        time.sleep(0.2)
    return value


def without_script(browser, url):
    """Without JavaScript the page says what it is."""
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.send("Page.navigate", url=url)
    wait("the page without JavaScript", 30, lambda: "This page needs JavaScript" in visible(browser))
    assert "what operators fear" in visible(browser)
    browser.send("Emulation.setScriptExecutionDisabled", value=False)


def visible(browser):
    """Text of the page by the browser's accessibility tree, which needs no script."""
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    return " ".join(node.get("name", {}).get("value") or "" for node in nodes)


def converge(browser, trouble, order, meanwhile):
    """Gives the order, and waits until the page says that both sides are equal again."""
    button = f"#trouble-{trouble}"
    wait(f"the button of {trouble}", 60, lambda: browser.evaluate(f"!document.querySelector('{button}').disabled"))
    before = browser.evaluate("document.querySelectorAll('#journal li').length")
    began = time.monotonic()
    order(button)
    wait(f"{trouble} is at work", 10, lambda: browser.evaluate(f"document.querySelector('{button}').className") == "running")
    assert browser.evaluate("document.querySelector('#trouble-kill').disabled"), "one trouble at a time"
    if meanwhile:
        meanwhile()
    ends = "[...document.querySelectorAll('#journal li')].slice(0, -%d || undefined).find((l) => /equal|problem/.test(l.className))?.className" % before
    kind = wait(f"{trouble} converges", CONVERGES_WITHIN, lambda: browser.evaluate(ends))
    assert kind == "equal", browser.text("#journal")
    status = wait("the status", 10, lambda: "good" == browser.evaluate("document.querySelector('#status').className") and browser.text("#status"))
    print(f"{trouble}: {time.monotonic() - began:.1f} s: {status}", flush=True)


def value(browser, target, term):
    """Figure beside a term of one of the page's lists."""
    rows = browser.evaluate(
        f"Object.fromEntries([...document.querySelectorAll('#{target} dt')].map((t) => [t.textContent, t.nextSibling.textContent]))"
    )
    return rows[term]


def drive(browser, demo, pictures):
    url = demo.wait_for_url()
    without_script(browser, url)
    browser.problems.clear()
    browser.send("Page.navigate", url=url)
    browser.show(DESKTOP, "light")
    live = "document.querySelector('#trouble-kill')?.disabled === false"
    wait("the buttons are live", LIVE_WITHIN, lambda: browser.evaluate(live))
    wait("the curve has a minute", 90, lambda: browser.evaluate("(document.querySelector('#lag .p50')?.getAttribute('d') ?? '').length > 300"))
    converge(browser, "kill", browser.click, None)
    assert value(browser, "mapping", "processes killed") == "1"
    browser.show(PHONE, "light")
    converge(browser, "again", browser.click, None)
    assert value(browser, "mapping", "batches delivered twice") != "0"
    browser.show(PHONE, "dark")
    converge(browser, "poison", browser.press_enter, lambda: letters(browser))
    browser.show(DESKTOP, "light")
    converge(browser, "stream", browser.click, None)
    converge(browser, "engine", browser.click, lambda: away(browser))
    if pictures:
        browser.show({**DESKTOP, "height": 1390}, "light")
        browser.picture(pictures / "live-page.png")
        browser.show({**PHONE, "height": 1180}, "dark")
        browser.picture(pictures / "live-page-phone.png")
        browser.show(DESKTOP, "light")
    assert value(browser, "sides", "items in the table") != "–"
    assert "proven equal" in browser.text("#proof")
    assert browser.evaluate("document.querySelectorAll('#lag text').length") > 8, "the curve has an axis"
    browser.click("#end")
    wait("the verdict", ENDS_WITHIN, lambda: "verify: table and index are equal" in browser.text("#status"))
    code = demo.process.wait(timeout=ENDS_WITHIN)
    assert code == 0, f"the demo ended with {code}"
    wait("the last lines", 10, lambda: any("table and index are EQUAL" in line for line in demo.lines))
    origin = url.split("?")[0]
    foreign = [request for request in browser.requests if not request.startswith((origin, "data:", "about:"))]
    assert not foreign, f"requests to elsewhere: {foreign}"
    # After its end, the server is gone, and the page finds nobody.
    problems = [problem for problem in browser.problems if "ERR_CONNECTION_REFUSED" not in problem]
    assert not problems, f"the browser complains: {problems}"


def letters(browser):
    wait("dead letters are shown", 60, lambda: value(browser, "letters", "in the queue") not in ("0", "–"))
    wait("with their cause", 10, lambda: "follow_up" in (browser.text("#causes") or ""))


def away(browser):
    wait("OpenSearch is shown as away", 60, lambda: value(browser, "sides", "documents in searches") == "–")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", required=True, help="program of a Chromium")
    parser.add_argument("--pictures", type=pathlib.Path, help="folder for pictures of the page")
    args = parser.parse_args()
    demo = Demo()
    try:
        with tempfile.TemporaryDirectory() as profile:
            browser = Browser(args.browser, profile)
            try:
                drive(browser, demo, args.pictures)
            finally:
                browser.stop()
    finally:
        demo.stop()
    print(f"each of the page's {len(TROUBLES)} troubles converged in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
