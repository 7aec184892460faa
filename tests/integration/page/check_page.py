#!/usr/bin/env python3
"""Opens pglookout's status page in a headless Chromium and checks that it works.

check_page.py URL CHROMIUM [SECONDS]

Exit 0: the headline is there, the browser reported no error and no violation of the Content-Security-Policy, and
nothing was requested from elsewhere; prints the headline and the names of the nodes in the table. Exit 1: says why.
Python's standard library only.
"""
import base64, json, os, pathlib, shutil, signal, socket, struct, subprocess, sys, tempfile, time, urllib.parse


class Failed(Exception):
    pass


class Browser:
    """A headless Chromium, spoken to in the DevTools protocol over a WebSocket."""

    def __init__(self, chromium, deadline, size="1280,900"):
        self.deadline, self.events, self.last, self.rest = deadline, [], 0, b""
        self.process = self.socket = None
        self.home = tempfile.mkdtemp(prefix="check-page-")
        try:
            self._start(chromium, size)
        except BaseException:
            self.close()
            raise

    def _start(self, chromium, size):
        self.process = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--no-proxy-server", "--hide-scrollbars", f"--window-size={size}", f"--user-data-dir={self.home}",
             "--remote-debugging-port=0", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "HOME": self.home})
        port_file = pathlib.Path(self.home, "DevToolsActivePort")   # two lines: the port, the path
        while True:
            lines = port_file.read_text().split("\n") if port_file.exists() else []
            if len(lines) >= 2 and lines[1]:
                break
            if self.process.poll() is not None:
                raise Failed(f"{chromium} ended with {self.process.returncode} before it could be used")
            self.left(f"{chromium} did not start in time")
            time.sleep(0.02)
        self._connect(int(lines[0]), lines[1])
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.attached = None
        self.attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(domain + ".enable")

    attached = None

    def left(self, message):
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise Failed(message)
        return seconds

    def _connect(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=self.left("no time left"))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Failed(f"the browser refused the WebSocket: {head[:100]!r}")

    def _more(self):
        self.socket.settimeout(self.left("the browser did not answer in time"))
        try:
            data = self.socket.recv(1 << 16)
        except (socket.timeout, TimeoutError):
            raise Failed("the browser did not answer in time") from None
        if not data:
            raise Failed("the browser closed the connection")
        self.rest += data

    def _take(self, count):
        while len(self.rest) < count:
            self._more()
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def _send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        head = bytes([0x81, 0x80 | size]) if size < 126 else \
            struct.pack("!BBH", 0x81, 0x80 | 126, size) if size < 65536 else struct.pack("!BBQ", 0x81, 0x80 | 127, size)
        # A client has to mask its data; done as one large number, for a byte at a time is slow.
        stream = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
        self.socket.sendall(head + mask + masked)

    def _receive(self):
        message = b""
        while True:
            first, second = self._take(2)
            size = second & 127
            if size > 125:
                size = struct.unpack("!H" if size == 126 else "!Q", self._take(2 if size == 126 else 8))[0]
            data = self._take(size)
            if first & 15 == 8:
                raise Failed("the browser closed the WebSocket")
            if first & 15 in (0, 1):   # a text, or its continuation; pings between are of no interest here
                message += data
                if first & 0x80:
                    return json.loads(message)

    def call(self, method, **params):
        self.last += 1
        request = {"id": self.last, "method": method, "params": params}
        if self.attached:
            request["sessionId"] = self.attached
        self._send(json.dumps(request))
        while True:
            answer = self._receive()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error'].get('message')}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed(f"the page threw: {describe(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def close(self):
        if self.socket:
            self.socket.close()
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)   # its own group: start_new_session
            except ProcessLookupError:
                pass
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def describe(details):
    return (details.get("exception") or {}).get("description") or details.get("text", "")


def problems(events, origin):
    """What the browser reported that a working page does not cause."""
    found = []
    for event in events:
        name, p = event["method"], event["params"]
        if name == "Runtime.exceptionThrown":
            found.append("exception: " + describe(p["exceptionDetails"]))
        elif name == "Runtime.consoleAPICalled" and p["type"] in ("error", "assert"):
            found.append("console: " + " ".join(str(a.get("value", a.get("description"))) for a in p["args"]))
        elif name == "Log.entryAdded" and (p["entry"]["level"] == "error" or p["entry"]["source"] in ("security", "violation")):
            found.append(f"log: {p['entry']['text']} {p['entry'].get('url', '')}".rstrip())
        elif name == "Audits.issueAdded" and p["issue"]["code"] == "ContentSecurityPolicyIssue":
            found.append("Content-Security-Policy: " + json.dumps(p["issue"]["details"])[:500])
        elif name == "Network.requestWillBeSent":
            url = p["request"]["url"]
            if not url.startswith(("data:", "about:")) and origin_of(url) != origin:
                found.append("external request: " + url[:200])
    return found


def origin_of(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


LOOK = """(() => {
  const main = document.querySelector("main"), word = document.getElementById("state-word");
  return {ready: !!main && main.getAttribute("aria-busy") === "false" && !!word && word.textContent !== "",
          stale: document.body !== null && document.body.classList.contains("stale"),
          word: word && word.textContent, sentence: (document.getElementById("sentence") || {}).textContent,
          failover: (document.getElementById("failover-word") || {}).textContent,
          names: Array.from(document.querySelectorAll("#nodes tr.row > th > .a"), (e) => e.textContent),
          body: document.body ? document.body.innerText.slice(0, 300) : ""};
})()"""


def check(url, chromium, seconds):
    browser = Browser(chromium, time.monotonic() + seconds)
    try:
        shown = browser.call("Page.navigate", url=url)
        if shown.get("errorText"):
            raise Failed(f"{url}: {shown['errorText']}")
        while True:
            look = browser.evaluate(LOOK)
            if look["ready"]:
                break
            try:
                browser.left("")
            except Failed:
                break
            time.sleep(0.05)
            if browser.deadline - time.monotonic() < 0.5:
                break
        # The answer to a request that the page made at the same time may still bring an error.
        time.sleep(min(0.3, max(0.0, browser.deadline - time.monotonic() - 0.2)))
        look = browser.evaluate(LOOK)
        found = problems(browser.events, origin_of(url))
        if not look["ready"]:
            found.insert(0, f"no headline within {seconds:g} s; the page shows: {look['body']!r}")
        if look["stale"]:
            found.append("the page says that it gets no answer")
        if found:
            raise Failed("\n".join(dict.fromkeys(found)))
        return look
    finally:
        browser.close()


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        look = check(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) == 4 else 9.0)
    except (Failed, OSError) as error:
        print(f"check_page: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"headline: {look['word']}: {look['sentence']}")
    print(f"failover: {look['failover']}")
    for name in look["names"]:
        print(f"node: {name}")


if __name__ == "__main__":
    main()
