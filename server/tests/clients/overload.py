#!/usr/bin/env python3
"""Asks a server for far more than it can do, then ends it under load.

    candle-explain serve ... & python server/tests/clients/overload.py --url http://127.0.0.1:8080 --pid $!

1. --connections clients ask for explanations of --steps steps without a pause. Each answer must be
   200, or 503 or 429 with Retry-After, and none may be lost. Printed: the answers, the latency of
   those that were accepted, and the resident memory at the start, at most and at the end.
2. --clients keep-alive clients ask for predictions, and --pid gets SIGTERM. Every request that was
   sent must be answered: a connection that ends without an answer counts as a reset, unless the
   answer before it said `Connection: close`. Refused connections are how a client learns that the
   server is gone. Printed: answers, resets (on kept and on fresh connections), refusals, seconds.

Fails if one of these does not hold.
"""

import argparse
import asyncio
import collections
import json
import os
import pathlib
import re
import signal
import statistics
import time
from urllib.parse import urlsplit

from checks import Checks

RECORD = {"age": 29, "sibsp": 0, "parch": 0, "fare": 100, "sex": "female", "embarked": "S", "pclass": 1}
ALLOWED = {200, 429, 503}
ANSWER_SECONDS = 130  # above the server's own limit of 120
END_SECONDS = 60


def post(path):
    body = json.dumps({"instances": [RECORD]}).encode()
    headers = ["Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([f"POST {path} HTTP/1.1", *headers, "", ""]).encode() + body


class Connection:
    """A keep-alive connection that says whether it ended as it should."""

    def __init__(self, address):
        self.address = address
        self.writer = None
        self.answered = 0

    async def ask(self, request):
        """Status and headers of the answer; ConnectionRefusedError if nobody listens."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(*self.address)
            self.answered = 0
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        headers = dict(re.findall(r"^([^:\r\n]+): *([^\r\n]*)", head, re.M))
        await self.reader.readexactly(int(headers.get("content-length", 0)))
        self.answered += 1
        if headers.get("connection") == "close":
            self.close()
        return int(head.split()[1]), headers

    def close(self):
        if self.writer is not None:
            self.writer.close()
            self.writer = None


LOST = (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)


def resident_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1e3


def percentile(values, percent):
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else sum(values)


# 1. More than it can do.


class Overload:
    def __init__(self, address, request, end):
        self.address, self.request, self.end = address, request, end
        self.statuses = collections.Counter()
        self.latencies = []
        self.without_retry_after = 0
        self.lost = 0

    async def client(self):
        connection = Connection(self.address)
        while time.monotonic() < self.end:
            started = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status, headers = await connection.ask(self.request)
            except (*LOST, OSError):
                self.lost += 1
                connection.close()
                continue
            self.statuses[status] += 1
            if status == 200:
                self.latencies.append(time.monotonic() - started)
            elif "retry-after" not in headers:
                self.without_retry_after += 1
        connection.close()


async def watch_memory(pid, memory):
    while True:
        memory.append(resident_mb(pid))
        await asyncio.sleep(0.1)


async def overload(check, args, address):
    memory = []
    watching = asyncio.create_task(watch_memory(args.pid, memory))
    load = Overload(address, post(f"/explanations/titanic?n_steps={args.steps}"), time.monotonic() + args.seconds)
    await asyncio.sleep(0.5)
    await asyncio.gather(*[load.client() for _ in range(args.connections)])
    watching.cancel()
    p50, p99 = (percentile(load.latencies, percent) * 1e3 for percent in (50, 99))
    counts = ", ".join(f"{status} {count}" for status, count in sorted(load.statuses.items()))
    print(f"answers of {args.connections} clients in {args.seconds:g} s: {counts}; {load.lost} lost")
    print(f"accepted: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(load.latencies) / args.seconds:.1f}/s")
    print(f"memory: {memory[0]:.1f} MB at the start, {max(memory):.1f} MB at most, {memory[-1]:.1f} MB at the end")
    check("only 200, 503 and 429", set(load.statuses) <= ALLOWED, load.statuses)
    check("some were accepted", load.statuses[200] > 0, load.statuses)
    check("some were turned away: else raise --connections", load.statuses[503] + load.statuses[429] > 0, load.statuses)
    check("who is turned away hears when to try again", load.without_retry_after == 0, load.without_retry_after)
    check("no request is lost", load.lost == 0, load.lost)
    status, _ = await Connection(address).ask(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
    check("/ping answers 200 afterwards", status == 200, status)


# 2. SIGTERM under load.


class Ending:
    def __init__(self, address, request):
        self.address, self.request = address, request
        self.outcomes = collections.Counter()

    async def client(self):
        """Asks until nobody listens any more."""
        connection = Connection(self.address)
        while True:
            try:
                async with asyncio.timeout(END_SECONDS):
                    status, _ = await connection.ask(self.request)
                self.outcomes[f"answer {status}"] += 1
            except ConnectionRefusedError:
                self.outcomes["refused"] += 1
                return
            except LOST:
                age = "kept" if connection.answered else "fresh"
                self.outcomes[f"reset of a {age} connection"] += 1
                connection.close()
            except TimeoutError:
                self.outcomes["no answer"] += 1
                return


def is_running(pid):
    """Not gone, and not waiting for its parent either."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def end_under_load(check, args, address):
    ending = Ending(address, post("/predictions/titanic"))
    clients = [asyncio.create_task(ending.client()) for _ in range(args.clients)]
    await asyncio.sleep(1)
    os.kill(args.pid, signal.SIGTERM)
    told = time.monotonic()
    await asyncio.gather(*clients)
    while is_running(args.pid) and time.monotonic() < told + END_SECONDS:
        await asyncio.sleep(0.01)
    print(f"SIGTERM under {args.clients} clients: gone after {time.monotonic() - told:.2f} s;", dict(ending.outcomes))
    check("the server ends", not is_running(args.pid))
    check("every request until then is answered", ending.outcomes["no answer"] == 0, ending.outcomes)
    for name in ["kept", "fresh"]:
        resets = ending.outcomes[f"reset of a {name} connection"]
        check(f"no {name} connection is reset", resets == 0, resets)


async def run(args):
    url = urlsplit(args.url)
    address = (url.hostname, url.port)
    check = Checks()
    await overload(check, args, address)
    await end_under_load(check, args, address)
    check.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--pid", type=int, required=True, help="of the server, which is ended")
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=32)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
