#!/usr/bin/env python3
"""Loads TorchServe and candle-explain's server in turn with the same Titanic requests.

    cargo build --release -p candle-explain-cli
    python server/benches/torchserve.py --rounds 3 --seconds 10

Needs Java, wrk, and in the environment of this Python torchserve, torch-model-archiver, captum and
safetensors. TorchServe runs torchserve_handler.py in two workers of one thread each: with torch's
own choice of threads the workers hinder each other, and explanations are far slower. Both servers
get the path of one CSV file as a form, candle-explain also as the JSON of the walkthrough; before
any timing their answers are compared. A round loads each server once, so that slow minutes of the
machine hit both.

Prints a table, then one line of JSON: per request and server the rate of every round and the
medians, and the memory of the server's processes (PSS, so that shared pages count once).
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORKERS = 2
TOLERANCE = 1e-5
PASSENGER = """\
age,sibsp,parch,fare,female,male,embark_C,embark_Q,embark_S,class_1,class_2,class_3
41,1,0,77.5,1,0,1,0,0,1,0,0
"""
WRK_SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "{content_type}"
wrk.body = [=[{body}]=]
function done(summary, latency)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{{"requests": %d, "rate": %.1f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}}',
    summary.requests, summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass
class Body:
    content_type: str
    text: str

    def post(self, url):
        request = urllib.request.Request(url, self.text.encode(), {"Content-Type": self.content_type})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()


@dataclass
class Server:
    name: str
    url: str
    pid: int
    forms: list[str]


# Starting the servers, each in a folder of its own.


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def write_config(folder, **extra):
    """Writes config.properties and returns the address of the inference port."""
    names = ["inference_address", "management_address", "metrics_address"]
    addresses = [f"http://127.0.0.1:{port}" for port in free_ports(len(names))]
    common = {"model_store": folder, "load_models": "titanic.mar", "disable_token_authorization": "true"}
    properties = dict(zip(names, addresses)) | common | extra
    (folder / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return addresses[0]


def write_labels(folder):
    (folder / "index_to_name.json").write_text('{"0": "Not Survived", "1": "Survived"}')
    return "index_to_name.json"


def archiver(program, weights, handler, extra_files):
    return [
        *program, "--model-name", "titanic", "--version", "1.0", "--serialized-file", weights,
        "--handler", handler, "--extra-files", ",".join(map(str, extra_files)),
    ]


@contextlib.contextmanager
def torchserve(folder, weights, threads):
    programs = pathlib.Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    environment["TMPDIR"] = str(folder)  # where it leaves its process number
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    options = {"cwd": folder, "env": environment, "check": True, "stdout": subprocess.DEVNULL}
    extra_files = [write_labels(folder), ROOT / "benches/captum_titanic.py"]
    archive = archiver(["torch-model-archiver"], weights, HERE / "torchserve_handler.py", extra_files)
    subprocess.run(archive, **options)
    url = write_config(folder, default_workers_per_model=WORKERS)
    subprocess.run(["torchserve", "--start", "--ncs", "--ts-config", "config.properties"], **options)
    try:
        pid = int((folder / ".model_server.pid").read_text())
        yield Server("TorchServe", url, pid, ["form"])
    finally:
        subprocess.run(["torchserve", "--stop"], **options)


@contextlib.contextmanager
def candle_explain(folder, weights, binary, inputs):
    archive = archiver([binary, "archive"], weights, "titanic", [write_labels(folder)])
    subprocess.run(archive, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    url = write_config(folder, input_directory=inputs)
    serve = [binary, "serve", "--foreground", "--ts-config", "config.properties"]
    with subprocess.Popen(serve, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            yield Server("candle-explain", url, process.pid, ["form", "json"])
        finally:
            process.terminate()


def wait_until_served(server, bodies, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return bodies["form"].post(f"{server.url}/predictions/titanic")
        except OSError as error:  # not listening, or no worker yet
            if time.monotonic() > deadline:
                raise TimeoutError(f"{server.name} serves no model after {seconds} s") from error
        time.sleep(0.2)


# Comparing and loading them.


def check_same_answers(servers, bodies):
    """The same label, and attributions that differ by at most TOLERANCE."""

    def answers(route):
        return [bodies[form].post(f"{s.url}/{route}/titanic") for s in servers for form in s.forms]

    labels = answers("predictions")
    if len(set(labels)) != 1:
        raise RuntimeError(f"the predictions differ: {labels}")
    first, *others = map(json.loads, answers("explanations"))
    for other in others:
        if other.keys() != first.keys() or any(abs(other[name] - first[name]) > TOLERANCE for name in first):
            raise RuntimeError(f"the attributions differ: {first} and {other}")


def process_tree(pid):
    yield pid
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from process_tree(int(child))


def memory_mb(pid):
    """PSS of a process and all below it, in 10^6 bytes."""
    rollups = [pathlib.Path(f"/proc/{p}/smaps_rollup").read_text() for p in process_tree(pid)]
    return sum(int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) for text in rollups) * 1024 / 1e6


def load(url, body, connections, seconds):
    """One run of wrk."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT.format(content_type=body.content_type, body=body.text))
        script.flush()
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name]
        wrk = subprocess.run(["wrk", *options, url], check=True, capture_output=True, text=True)
    run = json.loads(wrk.stderr)
    if run["errors"]:
        raise RuntimeError(f"{url}: {run['errors']} errors beside {run['requests']} answers")
    return run


def measure(servers, bodies, route, args):
    """A row of the table per server and form of the request."""
    cases = [(server, form) for server in servers for form in server.forms]
    runs = {(server.name, form): [] for server, form in cases}
    for number in range(args.rounds + 1):  # the first one warms up
        for server, form in cases:
            seconds = args.seconds if number else args.warm_up
            run = load(f"{server.url}/{route}/titanic", bodies[form], args.connections, seconds)
            if number:
                runs[server.name, form].append(run)
    columns = ["rate", "p50_ms", "p99_ms"]
    return [
        {"request": route, "server": server, "body": form, "rates": [run["rate"] for run in rounds]}
        | {column: statistics.median(run[column] for run in rounds) for column in columns}
        for (server, form), rounds in runs.items()
    ]


def with_ratios(rows):
    """Adds to the rows of candle-explain how they stand to TorchServe's."""
    base = next((row for row in rows if row["server"] == "TorchServe"), None)
    for row in rows:
        if base and row is not base:
            row["times_rate"] = row["rate"] / base["rate"]
            row["times_p99"] = row["p99_ms"] / base["p99_ms"]
    return rows


def table(rows, memory):
    lines = ["request       server          body  requests/s   p50 ms   p99 ms  x rate   x p99"]
    for row in rows:
        ratios = f"{row['times_rate']:8.1f}{row['times_p99']:8.3f}" if "times_rate" in row else ""
        numbers = f"{row['rate']:10.1f} {row['p50_ms']:8.3f} {row['p99_ms']:8.3f}"
        lines.append(f"{row['request']:13} {row['server']:15} {row['body']:5} {numbers}{ratios}")
    lines += [f"memory of {server}: {megabytes:.1f} MB" for server, megabytes in memory.items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/candle-explain")
    parser.add_argument("--weights", type=pathlib.Path, default=ROOT / "data/titanic.safetensors")
    parser.add_argument("--torch-threads", type=int, default=1, help="per worker of TorchServe; 0: as torch chooses")
    parser.add_argument("--only", choices=["TorchServe", "candle-explain"], help="default: both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of load per round and server")
    parser.add_argument("--warm-up", type=int, default=3, help="seconds of load before the rounds")
    parser.add_argument("--connections", type=int, default=4)
    args = parser.parse_args()

    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folders = {name: folder / name for name in ["torchserve", "candle-explain", "inputs"]}
        for each in folders.values():
            each.mkdir()
        passenger = folders["inputs"] / "passenger.csv"
        passenger.write_text(PASSENGER)
        bodies = {
            "form": Body("application/x-www-form-urlencoded", urllib.parse.urlencode({"input_file_path": passenger})),
            "json": Body("application/json", json.dumps({"input_file_path": [str(passenger)]})),
        }
        weights = args.weights.resolve()
        servers = []
        if args.only != "candle-explain":
            servers.append(stack.enter_context(torchserve(folders["torchserve"], weights, args.torch_threads)))
        if args.only != "TorchServe":
            start = candle_explain(folders["candle-explain"], weights, args.binary.resolve(), folders["inputs"])
            servers.append(stack.enter_context(start))
        for server in servers:
            wait_until_served(server, bodies)
        check_same_answers(servers, bodies)
        rows = []
        for route in ["predictions", "explanations"]:
            rows += with_ratios(measure(servers, bodies, route, args))
        memory = {server.name: memory_mb(server.pid) for server in servers}

    print(table(rows, memory))
    print(json.dumps({"rows": rows, "memory_mb": memory}))


if __name__ == "__main__":
    main()
