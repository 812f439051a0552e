#!/usr/bin/env python3
"""Sends broken, odd and valid HTTP requests to a server's three ports and watches what it does.

    python server/tests/clients/fuzz_routes.py --pid PID --corpus target/corpus --seconds 600 --seed 1

Requests are raw bytes: valid ones of every route and form, those of the corpus, and mutations of
both. Some are sent in pieces, slowly, with a half-closed connection, or by a client that leaves.
An input whose answer has a new signature (route, status, shape of the message) joins the corpus, as
a file of raw bytes named by its hash. It counts as a failure if

- /ping is not answered within 5 s, asked all the time beside the requests;
- a connection neither gets an answer nor is closed within 30 s after the last byte was sent;
- a status of 500 or above other than 503 comes, or JSON that is none (while a request has left a model
  without workers, /ping says 500 and Unhealthy, as TorchServe does);
- the resident memory of --pid grows after the warm-up, the first fifth of the time: the least of the
  last quarter is compared with that of the first one.

The input of a failure joins the corpus too. `--replay FILE` sends one input and prints the answer.
Models may be scaled or removed by a request: they are put back all the time. Where requests may also
register models (enable_model_api), the memory grows with every new name that they invent.
"""

import argparse
import asyncio
import collections
import contextlib
import functools
import gzip
import hashlib
import json
import pathlib
import random
import re
import socket
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import urlopen

PING_SECONDS = 5
HANG_SECONDS = 30
SLACK_SECONDS = 3
QUIET_SECONDS = 0.1  # without an answer, then the client says that nothing more will come
LARGEST = 1 << 20
DOCUMENTED = {503}
UNHEALTHY = b'"status": "Unhealthy"'
QUICK = ["at once"] * 90 + ["in pieces"] * 4 + ["half-closed"] * 3 + ["leaves"] * 3
SLOW = ["slow", "patient"]
SLOW_CLIENTS = 6
MOST_FAILURES = 20
GROWTH = 1.5  # and 32 MB, both of which the allocator may take

FEATURES = "age,sibsp,parch,fare,female,male,embark_C,embark_Q,embark_S,class_1,class_2,class_3"
NUMBERS = [29, 0, 0, 100, 1, 0, 0, 0, 1, 1, 0, 0]
RECORD = dict(zip(FEATURES.split(","), NUMBERS))
PASSENGER = {"age": 29, "sibsp": 0, "parch": 0, "fare": 100, "sex": "female", "embarked": "S", "pclass": 1}
TENSOR = {"name": "features", "shape": [1, 12], "datatype": "FP32", "data": NUMBERS}
CSV = f"{FEATURES}\n{','.join(map(str, NUMBERS))}\n"
BOUNDARY = "xxBOUNDARYxx"
ACCEPTED = ["*/*", "application/json", "text/html", "text/csv", "image/svg+xml", "image/png", "text/html;q=0.1, */*"]
METHODS = ["IntegratedGradients", "Saliency", "InputXGradient", "LayerConductance", "NeuronConductance", "NoSuchMethod"]

DESCRIBED = ["/v1/models/{}", "/v2/models/{}", "/v2/models/{}/ready", "/v2/models/{}/versions/1.0", "/models/{}/all"]
ASKED = [
    "/predictions/{}", "/explanations/{}/1.0", "/explanations/{}?n_steps=3", "/v1/models/{}:explain",
    "/v1/models/{}:predict", "/v2/models/{}/infer",
]  # fmt: skip

# What replaces a value or joins a header.
VALUES = [
    b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"18446744073709551616", b"-1", b"0", b"null", b"true", b'""',
    b"[]", b"{}", b'"\\u0000"', b'"\\ud800"', b'"%s"', b"1.0", b"[" * 300, b"[" * 20000, b'{"a":' * 300, b"\xff\xfe",
    b"\x00", b"\xef\xbb\xbf", "Sản phẩm 😀".encode(), b"' OR 1=1", b"../../../../etc/passwd", b"/dev/zero",
    b"file:///etc/passwd", b"http://127.0.0.1:1/", b"%00", b"%zz", b"A" * 9000,
]  # fmt: skip
HEADERS = [
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 99999999999999999999", b"Content-Length: -1",
    b"Content-Length: 4, 4", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: identity", b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Type:",
    b"Content-Type: multipart/form-data", b"Content-Type: multipart/form-data; boundary=", b"Content-Type: a/b/c;;=",
    b"Content-Type: application/json; charset=utf-7", b"Accept: ;;;q=2", b"Accept: \xff", b"Expect: 100-continue",
    b"Expect: 200-ok", b"Connection: close", b"Connection: upgrade\r\nUpgrade: h2c", b"Host: a\r\nHost: b", b"Host:",
    b"X: " + b"y" * 9000, b"Bad Name: x", b": empty", b" folded", b"\x00: \x00", b"Authorization: Bearer x",
    b"Range: bytes=0-9999999999", b"Inference-Header-Content-Length: 7", b"X-Request-Id: \xf0\x9f\x98\x80",
]  # fmt: skip
START_LINES = [
    b"GET / HTTP/1.0", b"GET / HTTP/9.9", b"GET /", b"PRI * HTTP/2.0", b"CONNECT a:1 HTTP/1.1", b"TRACE / HTTP/1.1",
    b"GET http://[::1/ HTTP/1.1", b"GET //..//../ HTTP/1.1", b"GET /%ff%00 HTTP/1.1", b"GET  /ping  HTTP/1.1",
    b"OPTIONS * HTTP/1.1", b"get /ping HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET /" + b"a" * 70000 + b" HTTP/1.1",
]  # fmt: skip


# Valid requests.


def request(method, target, body=b"", *headers):
    length = [f"Content-Length: {len(body)}"] if body else []
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *length, *headers])
    return head.encode() + b"\r\n\r\n" + body


def chunked(body, rng):
    """The same body in chunks."""
    chunks = []
    while body:
        size = rng.randint(1, len(body))
        chunks.append(b"%x\r\n%s\r\n" % (size, body[:size]))
        body = body[size:]
    return b"".join(chunks) + b"0\r\n\r\n"


def multipart(fields):
    part = '--{}\r\nContent-Disposition: form-data; name="{}"; filename="x"\r\n\r\n{}\r\n'
    return ("".join(part.format(BOUNDARY, name, value) for name, value in fields) + f"--{BOUNDARY}--\r\n").encode()


def written_bodies():
    """Each way to write a request down: type and bytes."""
    parameters = {"n_steps": 20, "target": "Survived", "method": "IntegratedGradients"}
    for value in [
        RECORD, PASSENGER, NUMBERS, [RECORD, PASSENGER], "Sản phẩm rất tốt", {"text": "Giao hàng chậm"},
        {"instances": [RECORD, NUMBERS], "parameters": parameters}, {"instances": ["tốt", {"text": "chậm"}]},
        {"input_file_path": ["passenger.csv"]}, {"inputs": [TENSOR], "id": "1", "outputs": [{"name": "label"}]},
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["tốt"]}]},
    ]:  # fmt: skip
        yield "application/json", json.dumps(value).encode()
    yield "text/csv", CSV.encode()
    yield "text/plain", "Sản phẩm rất tốt".encode()
    yield "application/x-www-form-urlencoded", b"input_file_path=passenger.csv&n_steps=20"
    yield "application/x-www-form-urlencoded", b"data=age%2Csibsp%0A1%2C2&target=1"
    yield f"multipart/form-data; boundary={BOUNDARY}", multipart([("data", CSV), ("n_steps", 5)])
    yield f"multipart/form-data; boundary={BOUNDARY}", multipart([("input_file_path", "passenger.csv")])


def valid_requests(models, rng):
    """Requests of every route."""
    for target in [
        "/", "/ping", "/api-description", "/api/models", "/metrics", "/models", "/models?limit=1&next_page_token=0",
        "/v1/models", "/v2", "/v2/models", "/v2/health/live", "/v2/health/ready", "/favicon.ico",
    ]:  # fmt: skip
        yield request("GET", target, b"", f"Accept: {rng.choice(ACCEPTED)}")
        yield request(rng.choice(["OPTIONS", "HEAD", "PUT", "DELETE", "POST"]), target)
    for model, file in models.items():
        for target in DESCRIBED:
            yield request("GET", target.format(model))
        yield request("PUT", f"/models/{model}?min_worker=2&synchronous=true")
        yield request("PUT", f"/models/{model}/1.0/set-default")
        yield request("DELETE", f"/models/{model}/9.9")
        yield request("POST", f"/models?url={file}&model_name={model}&initial_workers=1")
        for kind, body in written_bodies():
            for target in [asked.format(model) for asked in ASKED]:
                headers = [f"Content-Type: {kind}", f"Accept: {rng.choice(ACCEPTED)}"]
                yield request("POST", target, body, *headers)
                form = rng.randrange(4)
                if form == 0:
                    yield request("POST", target, gzip.compress(body, mtime=0), *headers, "Content-Encoding: gzip")
                elif form == 1:
                    yield request("POST", target, zlib.compress(body), *headers, "Content-Encoding: deflate")
                elif form == 2:
                    head = request("POST", target, b"", *headers, "Transfer-Encoding: chunked")
                    yield head + chunked(body, rng)
            yield request("POST", f"/explanations/{model}?method={rng.choice(METHODS)}", body, f"Content-Type: {kind}")


# Mutations.


def split_request(raw):
    head, separator, body = raw.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), separator, body


def with_body(raw, change):
    """Changes the body, and the length that is told of it."""
    lines, separator, body = split_request(raw)
    body = change(body)
    length = b"Content-Length: %d" % len(body)
    lines = [length if line.lower().startswith(b"content-length:") else line for line in lines]
    return b"\r\n".join(lines) + separator + body


@functools.cache
def bomb(size):
    return gzip.compress(b" " * size, mtime=0)


class Mutator:
    def __init__(self, rng):
        self.rng = rng
        self.changes = [
            self.flip, self.insert, self.delete, self.repeat, self.cut, self.start_line, self.add_header,
            self.drop_header, self.twice, self.in_target, self.bomb, *[self.in_body] * 10,
        ]  # fmt: skip

    def mutate(self, raw, other):
        for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
            raw = self.rng.choice(self.changes)(raw)
        if self.rng.random() < 0.05:
            raw = raw[: self.place(raw)] + other[self.place(other) :]
        return raw[:LARGEST]

    def place(self, raw):
        return self.rng.randint(0, len(raw))

    def flip(self, raw):
        changed = bytearray(raw or b"\0")
        for _ in range(self.rng.randint(1, 4)):
            changed[self.rng.randrange(len(changed))] = self.rng.randrange(256)
        return bytes(changed)

    def insert(self, raw):
        at = self.place(raw)
        return raw[:at] + self.rng.choice(VALUES) + raw[at:]

    def delete(self, raw):
        at = self.place(raw)
        return raw[:at] + raw[at + self.rng.randint(1, 20) :]

    def repeat(self, raw):
        at = self.place(raw)
        part = raw[at : at + self.rng.randint(1, 40)]
        return raw[:at] + part * self.rng.choice([2, 3, 100]) + raw[at:]

    def cut(self, raw):
        return raw[: self.place(raw)]

    def value(self, body):
        """Another value in place of a number, a word or a text."""
        places = list(re.finditer(rb'-?\d[\d.eE+-]*|"[^"]*"|\w+', body))
        if not places:
            return self.insert(body)
        place = self.rng.choice(places)
        return body[: place.start()] + self.rng.choice(VALUES) + body[place.end() :]

    def in_body(self, raw):
        change = self.rng.choice([self.value, self.value, self.flip, self.insert, self.delete, self.repeat, self.cut])
        return with_body(raw, change)

    def bomb(self, raw):
        """A small body that is large once its compression is undone."""
        small = bomb(self.rng.choice([1 << 16, 1 << 20, 1 << 25]))
        return self.add_header(with_body(raw, lambda _: small), b"Content-Encoding: gzip")

    def lines(self, raw, change):
        lines, separator, body = split_request(raw)
        return b"\r\n".join(change(lines)) + separator + body

    def start_line(self, raw):
        return self.lines(raw, lambda lines: [self.rng.choice(START_LINES), *lines[1:]])

    def in_target(self, raw):
        return self.lines(raw, lambda lines: [self.value(lines[0]), *lines[1:]])

    def add_header(self, raw, header=None):
        header = header or self.rng.choice(HEADERS)
        at = self.rng.randint(1, 3)
        return self.lines(raw, lambda lines: [*lines[:at], header, *lines[at:]])

    def drop_header(self, raw):
        def drop(lines):
            at = self.rng.randrange(len(lines))
            return lines[:at] + lines[at + 1 :]

        return self.lines(raw, drop)

    def twice(self, raw):
        """Two requests at once."""
        return raw + raw


# The client.


@dataclass
class Answer:
    status: int | None = None  # none: the server closed without a word
    kind: str = ""
    body: bytes = b""
    is_complete: bool = False

    @classmethod
    def first_of(cls, received, closed, has_body):
        """The first answer in the bytes, once it is complete or the server has closed."""
        head, separator, rest = received.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        if not (separator and status):
            return cls() if closed else None
        if status[1] == b"100":
            return cls.first_of(rest, closed, has_body)
        kind = re.search(rb"^content-type: *([^;\r]*)", head, re.M | re.I)
        answer = cls(int(status[1]), kind[1].decode("latin-1") if kind else "")
        length = re.search(rb"^content-length: *(\d+)", head, re.M | re.I)
        if not has_body or status[1] in (b"204", b"304"):
            answer.is_complete = True
        elif length:
            answer.body = rest[: int(length[1])]
            answer.is_complete = len(rest) >= int(length[1])
        else:
            answer.body = rest
            answer.is_complete = b"chunked" in head.lower() and rest.endswith(b"0\r\n\r\n")
        return answer if closed or answer.is_complete else None

    def shape(self, raw):
        """What kind of body it is; of an error the message's words, but for those of the request."""
        if not self.is_complete:
            return "cut"
        if self.kind != "application/json" or not self.body:
            return self.kind
        value = json.loads(self.body)
        if not isinstance(value, dict):
            return type(value).__name__
        message = value.get("message") or value.get("error")
        if not isinstance(message, str):
            return ",".join(sorted(value)[:4])
        words = re.findall(r"[a-z]{4,}", message)
        return " ".join(word for word in words if word.encode() not in raw)[:50]


class Hang(Exception):
    """The server neither answered nor closed."""


async def connect(address):
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await asyncio.get_running_loop().sock_connect(sock, address)
    return sock


async def write(sock, raw, pieces, pause):
    loop = asyncio.get_running_loop()
    ends = [len(raw) * (index + 1) // pieces for index in range(pieces)]
    for start, end in zip([0, *ends], ends):
        await loop.sock_sendall(sock, raw[start:end])
        if pieces > 1:
            await asyncio.sleep(pause)


async def receive(sock, patience, has_body=True):
    """The first answer. After so many seconds without it the server is told that no more will come."""
    loop = asyncio.get_running_loop()
    deadline = time.monotonic() + HANG_SECONDS + SLACK_SECONDS
    received, answer = b"", None
    while not answer:
        try:
            async with asyncio.timeout(patience):
                part = await loop.sock_recv(sock, 1 << 16)
        except TimeoutError as error:
            if time.monotonic() > deadline:
                raise Hang("neither an answer nor an end") from error
            with contextlib.suppress(OSError):  # the server has closed just now
                sock.shutdown(socket.SHUT_WR)
            patience = HANG_SECONDS + SLACK_SECONDS
            continue
        except OSError:  # a reset is an end
            part = b""
        received += part
        answer = Answer.first_of(received, not part, has_body)
    return answer


async def send(address, raw, manner, rng):
    """Sends bytes in the manner of one client or another; no answer if that one leaves."""
    pieces, pause = {"in pieces": (rng.randint(2, 5), 0.001), "slow": (20, 0.5)}.get(manner, (1, 0))
    patience = HANG_SECONDS + SLACK_SECONDS if manner == "patient" else QUIET_SECONDS
    with await connect(address) as sock:
        try:
            async with asyncio.timeout(HANG_SECONDS + SLACK_SECONDS):
                await write(sock, raw[: rng.randint(0, len(raw))] if manner == "leaves" else raw, pieces, pause)
            if manner == "half-closed":
                sock.shutdown(socket.SHUT_WR)
        except TimeoutError as error:
            raise Hang("not all bytes were taken") from error
        except OSError:
            pass  # it answered, or closed, before everything was sent
        has_body = not raw.lstrip(b"\r\n").startswith(b"HEAD")
        return None if manner == "leaves" else await receive(sock, patience, has_body)


# The run.


@dataclass
class Report:
    requests: int = 0
    statuses: collections.Counter = field(default_factory=collections.Counter)
    failures: list = field(default_factory=list)
    memory: list = field(default_factory=list)


def route_of(raw):
    """The first part of the address, which tells the handler."""
    line = raw.split(b"\r\n", 1)[0].split(b" ")
    parts = line[1].split(b"?")[0].split(b"/") if len(line) > 1 else [b""]
    known = {"", "ping", "predictions", "explanations", "models", "metrics", "api", "api-description", "v1", "v2"}
    first = parts[1].decode("latin-1") if len(parts) > 1 else "?"
    last = parts[-1].rpartition(b":")[2].decode("latin-1")
    is_verb = first in ("v1", "v2") and last in ("predict", "explain", "infer", "ready")
    return (first if first in known else "?") + (f" {last}" if is_verb else "")


def resident_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1e3


def served_models(management):
    """The file of each model."""
    with urlopen(f"{management}/models", timeout=PING_SECONDS) as answer:
        return {model["modelName"]: model["modelUrl"] for model in json.load(answer)["models"]}


class Fuzzer:
    def __init__(self, args, seed):
        self.args = args
        self.rng = random.Random(seed)
        self.mutator = Mutator(self.rng)
        self.report = Report()
        self.signatures = set()
        self.end = time.monotonic() + args.seconds
        self.ports = {
            name: (urlsplit(url).hostname, urlsplit(url).port)
            for name, url in [("inference", args.inference), ("management", args.management), ("metrics", args.metrics)]
        }
        self.models = served_models(args.management)
        self.valid = list(valid_requests(self.models, self.rng))
        self.found = [path.read_bytes() for path in sorted(args.corpus.iterdir()) if path.is_file()]

    def address(self, raw):
        """The port that has the route; now and then another one."""
        if self.rng.random() < 0.05:
            return self.rng.choice(list(self.ports.values()))
        route = route_of(raw)
        return self.ports[{"models": "management", "metrics": "metrics"}.get(route, "inference")]

    def keep(self, raw):
        name = hashlib.sha256(raw).hexdigest()[:16]
        (self.args.corpus / name).write_bytes(raw)
        return name

    def fail(self, what, raw):
        self.report.failures.append(f"{what}: input {self.keep(raw)}: {raw[:120]!r}")

    def judge(self, raw, answer):
        self.report.statuses[answer.status] += 1
        documented = answer.status in DOCUMENTED or (answer.status == 500 and UNHEALTHY in answer.body)
        if answer.status and answer.status >= 500 and not documented:
            self.fail(f"status {answer.status} {answer.body[:200]!r}", raw)
        try:
            signature = (route_of(raw), answer.status, answer.shape(raw))
        except ValueError:
            self.fail(f"no JSON: {answer.body[:200]!r}", raw)
            return
        if signature not in self.signatures:
            self.signatures.add(signature)
            self.keep(raw)
            self.found.append(raw)

    def inputs_and_mutations(self):
        yield from self.valid + self.found
        while True:
            start = self.rng.choice(self.rng.choice([self.valid, self.found]))
            yield self.mutator.mutate(start, self.rng.choice(self.valid))

    async def work(self, inputs, manners):
        while time.monotonic() < self.end and len(self.report.failures) < MOST_FAILURES:
            raw = next(inputs)
            try:
                answer = await send(self.address(raw), raw, self.rng.choice(manners), self.rng)
            except Hang as hang:
                self.fail(str(hang), raw)
                continue
            except ConnectionRefusedError:
                self.fail("the server is gone", raw)
                return
            self.report.requests += 1
            if answer:
                self.judge(raw, answer)

    async def watch(self):
        """Asks for a sign of life, puts models back, and notes the memory."""
        warm = self.end - self.args.seconds * 4 / 5
        repairs = [request("POST", f"/models?url={file}&model_name={name}") for name, file in self.models.items()]
        repairs += [request("PUT", f"/models/{name}?min_worker=1") for name in self.models]
        while time.monotonic() < self.end:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self.ask("inference", request("GET", "/ping"))
            except (TimeoutError, OSError) as error:
                self.fail(f"/ping: {error!r}", b"")
                return
            for raw in repairs:
                await self.ask("management", raw)
            if self.args.pid and time.monotonic() > warm:
                self.report.memory.append(resident_mb(self.args.pid))
            await asyncio.sleep(0.05)

    async def ask(self, port, raw):
        with await connect(self.ports[port]) as sock:
            await write(sock, raw, pieces=1, pause=0)
            answer = await receive(sock, PING_SECONDS)
        if answer.status is None:
            raise ConnectionResetError("closed without an answer")

    async def run(self):
        inputs = self.inputs_and_mutations()
        quick = [self.work(inputs, QUICK) for _ in range(self.args.connections)]
        slow = [self.work(inputs, SLOW) for _ in range(SLOW_CLIENTS)]
        await asyncio.gather(self.watch(), *quick, *slow)
        return self.report


def run(args, seed):
    return asyncio.run(Fuzzer(args, seed).run())


async def replay(args):
    raw = args.replay.read_bytes()
    answer = await send(Fuzzer(args, args.seed).address(raw), raw, "patient", random.Random(args.seed))
    print(answer.status, answer.kind)
    sys.stdout.buffer.write(answer.body + b"\n")


def summary(reports, seconds):
    """Prints what happened and returns the failures."""
    requests = sum(report.requests for report in reports)
    statuses = sum((report.statuses for report in reports), collections.Counter())
    failures = [failure for report in reports for failure in report.failures]
    print(f"{requests} requests, {requests / seconds:.0f}/s")
    print("answers:", ", ".join(f"{status or 'closed'} {count}" for status, count in statuses.most_common()))
    for memory in [report.memory for report in reports if report.memory]:
        quarter = max(1, len(memory) // 4)
        first, last = min(memory[:quarter]), min(memory[-quarter:])
        print(f"memory: {first:.1f} MB after the warm-up, {last:.1f} MB at the end, {max(memory):.1f} MB at most")
        if last > first * GROWTH + 32:
            failures.append("the memory grew")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inference", default="http://127.0.0.1:8080")
    parser.add_argument("--management", default="http://127.0.0.1:8081")
    parser.add_argument("--metrics", default="http://127.0.0.1:8082")
    parser.add_argument("--pid", type=int, help="of the server, whose memory is watched")
    parser.add_argument("--corpus", type=pathlib.Path, required=True, help="folder of inputs, read and added to")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64, help="at once, per process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", type=pathlib.Path, metavar="FILE")
    args = parser.parse_args()
    args.corpus.mkdir(parents=True, exist_ok=True)
    if args.replay:
        asyncio.run(replay(args))
        return
    seeds = range(args.seed, args.seed + args.processes)
    with ProcessPoolExecutor() as pool:
        reports = list(pool.map(run, [args] * args.processes, seeds))
    failures = summary(reports, args.seconds)
    for failure in failures:
        print("FAIL ", failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
