#!/usr/bin/env python3
"""Sends bodies of megabytes from many connections at once and watches a server's memory.

    candle-explain serve ... & python server/tests/clients/large_bodies.py --url http://127.0.0.1:8080 --pid $!

--connections clients send bodies of --megabytes in every form that the server reads: JSON of numbers, of
empty lists, of texts and of records, CSV, a form, multipart, white space around a record, and gzip of each.
Meanwhile a client asks for small predictions. Fails if an answer is lost, if it is none of 200, 400, 413 and
503, if a small request waits for more than a second, or if the resident memory ever exceeds --most MB.
"""

import argparse
import asyncio
import collections
import gzip
import json
import time
from urllib.parse import urlsplit

from checks import Checks
from overload import RECORD, Connection, LOST, post, resident_mb

ALLOWED = {200, 400, 413, 503}
SLOWEST_SECONDS = 1.0
FEATURES = "age,sibsp,parch,fare,female,male,embark_C,embark_Q,embark_S,class_1,class_2,class_3"


def bodies(size, model, texts):
    """Path, type, encoding and bytes of each kind of body."""
    text = "hàng rất tốt "
    comment = (text * 20_000)[:200_000]
    row = "29,0,0,100,1,0,0,0,1,1,0,0"
    record = json.dumps(RECORD)
    fill = lambda unit, rest: unit * ((size - rest) // len(unit.encode()))
    tables, words = f"/predictions/{model}", f"/predictions/{texts}"
    plain = [
        (tables, "application/json", "[" + fill("0,", 3) + "0]"),
        (tables, "application/json", "[" + fill("[],", 4) + "[]]"),
        (tables, "application/json", "[" + fill('{"a":0},', 4) + "{}]"),
        (tables, "application/json", "[" + fill(f"[{row}],", 40) + f"[{row}]]"),
        (tables, "application/json", record + fill(" ", len(record))),
        (f"/v1/models/{model}:predict", "application/json", '{"instances": [' + fill(f"[{row}],", 80) + f"[{row}]]}}"),
        (f"/v2/models/{model}/infer", "application/json", '{"inputs": [' + fill("0,", 20) + "0]}"),
        (words, "application/json", json.dumps([comment] * (size // 280_000), ensure_ascii=False)),
        (words, "text/plain", fill(text, 0)),
        (tables, "text/csv", f"{FEATURES}\n" + fill(f"{row}\n", len(FEATURES) + 1)),
        (tables, "text/csv", fill("a,", 2) + "b\n1\n"),
        (tables, "application/x-www-form-urlencoded", "data=" + fill(f"{row}%0A", 5)),
        (tables, "application/x-www-form-urlencoded", "&".join(f"f{n}=1" for n in range(size // 9))),
        (tables, "multipart/form-data; boundary=XX", part(fill(f"{row}\n", 200))),
    ]
    for path, kind, body in plain:
        yield path, kind, "identity", body.encode()
        yield path, kind, "gzip", gzip.compress(body.encode(), 1)


def part(content):
    return f'--XX\r\nContent-Disposition: form-data; name="data"\r\n\r\n{content}\r\n--XX--\r\n'


def request(path, kind, encoding, body):
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"Content-Encoding: {encoding}"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Load:
    def __init__(self, address, requests, end):
        self.address, self.requests, self.end = address, requests, end
        self.statuses = collections.Counter()
        self.small = []
        self.lost = 0

    async def client(self, index):
        connection = Connection(self.address)
        while time.monotonic() < self.end:
            index += 1
            try:
                status, _ = await connection.ask(self.requests[index % len(self.requests)])
                self.statuses[status] += 1
            except (*LOST, OSError):
                # A body that is too large is answered before all of it is sent.
                self.lost += 1
                connection.close()
        connection.close()

    async def small_client(self, request):
        connection = Connection(self.address)
        while time.monotonic() < self.end:
            started = time.monotonic()
            await connection.ask(request)
            self.small.append(time.monotonic() - started)
            await asyncio.sleep(0.01)
        connection.close()


async def watch(pid, memory):
    while True:
        memory.append(resident_mb(pid))
        await asyncio.sleep(0.01)


async def run(args):
    url = urlsplit(args.url)
    address = (url.hostname, url.port)
    requests = [request(*body) for body in bodies(int(args.megabytes * 1e6), args.model, args.texts)]
    load = Load(address, requests, time.monotonic() + args.seconds)
    memory = []
    watching = asyncio.create_task(watch(args.pid, memory))
    small = load.small_client(post(f"/predictions/{args.model}"))
    await asyncio.gather(small, *[load.client(index) for index in range(args.connections)])
    await asyncio.sleep(1)
    watching.cancel()
    counts = ", ".join(f"{status} {count}" for status, count in sorted(load.statuses.items()))
    print(f"bodies of {args.megabytes:g} MB from {args.connections} connections: {counts}; {load.lost} lost")
    print(f"memory: {memory[0]:.0f} MB at the start, {max(memory):.0f} MB at most, {memory[-1]:.0f} MB at the end")
    print(f"{len(load.small)} small requests, the slowest {max(load.small) * 1e3:.0f} ms")
    check = Checks()
    check("only 200, 400, 413 and 503", set(load.statuses) <= ALLOWED, load.statuses)
    check("no answer is lost", load.lost == 0, load.lost)
    check("small requests do not wait", max(load.small) < SLOWEST_SECONDS, max(load.small))
    check(f"at most {args.most:g} MB of memory", max(memory) <= args.most, max(memory))
    check.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--pid", type=int, required=True, help="of the server")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--megabytes", type=float, default=6)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--model", default="titanic", help="the Titanic network's name")
    parser.add_argument("--texts", default="sentiment-vi", help="the text classifier's name")
    parser.add_argument("--most", type=float, default=300, help="MB of resident memory")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
