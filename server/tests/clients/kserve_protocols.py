#!/usr/bin/env python3
"""Asks a server what KServe's own tests of its V1 and V2 protocols ask.

    python server/tests/clients/kserve_protocols.py http://127.0.0.1:8080 --management http://127.0.0.1:8081

The expectations are those of KServe's test_server.py, test_dataplane.py and test_infer_type.py and
of the Open Inference Protocol; messages may differ from KServe's, their form {"error": ...} not.
Every model that the server lists is asked, with rows made up from its own metadata. With
--management each is scaled to no workers and back, as a model that is not ready; with KServe's
package installed its client is used too. Prints a line per check; fails if one does not hold.
"""

import argparse
import asyncio
import importlib.util
import json
import math
import struct
import urllib.error
import urllib.request

from checks import Checks

UNKNOWN = "InvalidModel"
BINARY_LENGTH = "Inference-Header-Content-Length"


class Client:
    def __init__(self, base):
        self.base = base

    def ask(self, path, body=None, headers=None, method=None):
        """Status, content type and body of an answer, its JSON decoded where it is JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | (headers or {})
        request = urllib.request.Request(self.base + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers.get("content-type"), decoded(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("content-type"), decoded(error.read())


def decoded(body):
    try:
        return json.loads(body)
    except ValueError:
        return body


def is_error(answer, status):
    """KServe's form of an error."""
    code, _, body = answer
    return code == status and isinstance(body, dict) and list(body) == ["error"] and isinstance(body["error"], str)


class Model:
    """A model by its V2 metadata, and two rows that it takes."""

    def __init__(self, name, metadata):
        self.name = name
        self.metadata = metadata
        self.input = metadata["inputs"][0]
        if self.input["datatype"] == "BYTES":
            self.rows = ["Sản phẩm rất tốt", "Giao hàng quá chậm"]
            self.shape = [2]
        else:
            width = self.input["shape"][-1]
            self.rows = [[1.0] + [0.0] * (width - 1), [0.5] * width]
            self.shape = [2, width]

    def tensor(self, **changes):
        name, datatype = self.input["name"], self.input["datatype"]
        return {"name": name, "shape": self.shape, "datatype": datatype, "data": self.rows} | changes

    def flat(self):
        return self.rows if self.shape == [2] else sum(self.rows, [])


# V1.


def check_server_v1(check, client, names):
    code, _, body = client.ask("/")
    check("V1: GET / is alive", (code, body) == (200, {"status": "alive"}), body)
    code, _, body = client.ask("/metrics")
    check("V1: GET /metrics on the same port, where KServe's annotations point", code == 200, body)
    answer = client.ask(f"/v1/models/{UNKNOWN}")
    check("V1: an unknown model is 404 and named", is_error(answer, 404) and UNKNOWN in answer[2]["error"], answer)
    for verb in ["predict", "explain"]:
        answer = client.ask(f"/v1/models/{UNKNOWN}:{verb}", {"instances": [[1, 2]]})
        check(f"V1: an unknown model's {verb} is 404", is_error(answer, 404), answer)
    code, _, body = client.ask("/unknown_path")
    check("V1: an unknown path is 404 and JSON", code == 404 and isinstance(body, dict), body)
    check("V1: models are listed by name", bool(names) and all(isinstance(name, str) for name in names), names)


def check_model_v1(check, client, model):
    path = f"/v1/models/{model.name}"
    code, _, body = client.ask(path)
    check(f"{path} is ready", (code, body) == (200, {"name": model.name, "ready": True}), body)
    for verb, key in [("predict", "predictions"), ("explain", "explanations")]:
        ask = f"{path}:{verb}"
        for count in [1, 2]:
            code, kind, body = client.ask(ask, {"instances": model.rows[:count]})
            held = code == 200 and kind == "application/json" and list(body) == [key] and len(body[key]) == count
            check(f"{ask} answers {count} of {count} instances", held, (code, kind, body))
        empty = client.ask(ask, {"instances": []})
        check(f"{ask} takes an empty list", empty[::2] == (200, {key: []}), empty)
        bad = {
            "instances that are no list": {"instances": "invalid"},
            "no instances": {},
            "a body that is no object": [1],
            "broken JSON": b"{",
            "bytes that are no UTF-8": b"0\x80\x80\x06World!\x00\x00",
            "an empty body": b"",
            "instances of the wrong kind": {"instances": [None, True]},
        }
        for name, body in bad.items():
            answer = client.ask(ask, body)
            check(f"{ask} refuses {name}", is_error(answer, 400), answer)


# V2.


def check_server_v2(check, client, names):
    code, _, body = client.ask("/v2")
    held = code == 200 and isinstance(body.get("name"), str) and isinstance(body.get("version"), str)
    check("V2: /v2 tells name, version and extensions", held and isinstance(body.get("extensions"), list), body)
    for path, key in [("/v2/health/live", "live"), ("/v2/health/ready", "ready")]:
        code, _, body = client.ask(path)
        check(f"V2: {path}", (code, body) == (200, {key: True}), body)
    code, _, body = client.ask("/v2/models")
    check("V2: /v2/models lists what V1 lists", (code, body) == (200, {"models": names}), body)
    for path in [f"/v2/models/{UNKNOWN}", f"/v2/models/{UNKNOWN}/ready"]:
        answer = client.ask(path)
        check(f"V2: {path} is 404", is_error(answer, 404), answer)
    answer = client.ask(f"/v2/models/{UNKNOWN}/infer", {"inputs": []})
    check("V2: an unknown model's infer is 404", is_error(answer, 404), answer)


def is_tensor_metadata(tensor):
    named = isinstance(tensor["name"], str) and isinstance(tensor["datatype"], str)
    return named and all(map(is_whole, tensor["shape"]))


def is_whole(axis):
    return isinstance(axis, int) and not isinstance(axis, bool)


def is_output(output):
    """Flat data, as many as the shape tells."""
    flat = all(not isinstance(value, list) for value in output["data"])
    return is_tensor_metadata(output) and flat and len(output["data"]) == math.prod(output["shape"])


def check_model_v2(check, client, model):
    path = f"/v2/models/{model.name}"
    described = model.metadata
    tensors = described["inputs"] + described["outputs"]
    held = described["name"] == model.name and isinstance(described["platform"], str)
    check(f"{path} describes its tensors", held and all(map(is_tensor_metadata, tensors)), described)
    code, _, body = client.ask(f"{path}/ready")
    check(f"{path}/ready", code == 200 and body == {"name": model.name, "ready": True}, body)

    infer = f"{path}/infer"
    code, kind, nested = client.ask(infer, {"id": "123", "inputs": [model.tensor()]})
    held = code == 200 and kind == "application/json" and nested["model_name"] == model.name
    check(f"{infer} answers", held and all(map(is_output, nested["outputs"])), (code, kind, nested))
    if code != 200:
        return
    check(f"{infer} gives the id back", nested.get("id") == "123", nested)
    there = [output["name"] for output in described["outputs"]]
    check(f"{infer} gives the outputs of the metadata", [o["name"] for o in nested["outputs"]] == there, nested)
    _, _, flat = client.ask(infer, {"id": "123", "inputs": [model.tensor(data=model.flat())]})
    check(f"{infer} takes flat data as nested data", flat == nested, flat)
    _, _, body = client.ask(infer, {"inputs": [model.tensor()], "parameters": {"test-int": 100}})
    check(f"{infer} passes over parameters it does not know", "outputs" in body, body)
    last = nested["outputs"][-1]
    code, _, body = client.ask(infer, {"inputs": [model.tensor()], "outputs": [{"name": last["name"]}]})
    check(f"{infer} gives only what is asked for", code == 200 and body["outputs"] == [last], body)

    bad = {
        "inputs that are no list": {"inputs": "invalid"},
        "no inputs": {},
        "an empty list of inputs": {"inputs": []},
        "data of another size than the shape": {"inputs": [model.tensor(data=model.flat()[:-1])]},
        "a negative shape": {"inputs": [model.tensor(shape=[-2, *model.shape[1:]])]},
        "a shape beyond any size": {"inputs": [model.tensor(shape=[2**62, 2**62])]},
        "a datatype that is none": {"inputs": [model.tensor(datatype="FP7")]},
        "FP16 that is not binary": {"inputs": [model.tensor(datatype="FP16")]},
        "an output that is not there": {"inputs": [model.tensor()], "outputs": [{"name": "no-such-output"}]},
        "broken JSON": b"{",
    }
    for field in ["name", "shape", "datatype", "data"]:
        tensor = model.tensor()
        del tensor[field]
        bad[f"an input without {field}"] = {"inputs": [tensor]}
    for name, body in bad.items():
        answer = client.ask(infer, body)
        check(f"{infer} refuses {name}", is_error(answer, 400), answer)
    check_binary(check, client, model, nested)
    check_versions(check, client, model, described.get("versions") or [])


def check_binary(check, client, model, expected):
    """KServe's clients send arrays in binary unless told otherwise."""
    if model.input["datatype"] == "BYTES":
        texts = [text.encode() for text in model.rows]
        raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    else:
        letter = {"FP32": "f", "FP64": "d"}[model.input["datatype"]]
        raw = struct.pack(f"<{len(model.flat())}{letter}", *model.flat())
    tensor = model.tensor(parameters={"binary_data_size": len(raw)})
    del tensor["data"]
    head = json.dumps({"id": "123", "inputs": [tensor]}).encode()
    headers = {BINARY_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    infer = f"/v2/models/{model.name}/infer"
    answer = client.ask(infer, head + raw, headers)
    taken = answer[::2] == (200, expected)
    refused = is_error(answer, 400) or is_error(answer, 415)
    check(f"{infer} takes binary tensors, or says that it does not", taken or refused, answer)
    if taken:
        cut = client.ask(infer, (head + raw)[:-1], headers)
        check(f"{infer} refuses binary tensors that are too short", is_error(cut, 400), cut)


def check_versions(check, client, model, versions):
    for version in versions:
        path = f"/v2/models/{model.name}/versions/{version}"
        check(f"{path}", client.ask(path)[2] == model.metadata, client.ask(path))
        check(f"{path}/ready", client.ask(f"{path}/ready")[0] == 200)
        code, _, body = client.ask(f"{path}/infer", {"inputs": [model.tensor()]})
        check(f"{path}/infer names its version", code == 200 and body.get("model_version") == version, body)
    path = f"/v2/models/{model.name}/versions/no-such-version"
    for ask, body in [("", None), ("/ready", None), ("/infer", {"inputs": [model.tensor()]})]:
        answer = client.ask(path + ask, body)
        check(f"{path}{ask} is 404", is_error(answer, 404), answer)


# A model that is not ready, and KServe's client.


def check_not_ready(check, client, management, model):
    def scale(workers):
        management.ask(f"/models/{model.name}?min_worker={workers}", method="PUT")

    scale(0)
    try:
        asks = {
            f"/v1/models/{model.name}": None,
            f"/v2/models/{model.name}/ready": None,
            f"/v1/models/{model.name}:predict": {"instances": model.rows},
            f"/v1/models/{model.name}:explain": {"instances": model.rows},
            f"/v2/models/{model.name}/infer": {"inputs": [model.tensor()]},
        }
        for path, body in asks.items():
            answer = client.ask(path, body)
            check(f"{path} of a model without workers is 503", answer[0] == 503, answer)
        check("the server is still alive then", client.ask("/v2/health/live")[0] == 200)
    finally:
        scale(1)


async def check_kserve_client(check, base, model):
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    check("client V1: is_server_live", await v1.is_server_live(base))
    check("client V2: is_server_live", await v2.is_server_live(base))
    check("client V2: is_server_ready", await v2.is_server_ready(base))
    for version, client in [("V1", v1), ("V2", v2)]:
        check(f"client {version}: is_model_ready({model.name})", await client.is_model_ready(base, model.name))
    predicted = await v1.infer(base, {"instances": model.rows}, model_name=model.name)
    check(f"client V1: infer {model.name}", len(predicted["predictions"]) == 2, predicted)
    explained = await v1.explain(base, model.name, {"instances": model.rows})
    check(f"client V1: explain {model.name}", len(explained["explanations"]) == 2, explained)
    tensor = InferInput(model.input["name"], model.shape, model.input["datatype"], model.flat())
    request = InferRequest(model.name, [tensor], request_id="123")
    answer = await v2.infer(base, request, model_name=model.name)
    check(f"client V2: infer {model.name}", answer.id == "123" and len(answer.outputs) > 0, answer)
    await v1.close()
    await v2.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the inference port")
    parser.add_argument("--management", help="URL of the management port")
    args = parser.parse_args()
    client = Client(args.url)
    check = Checks()

    names = client.ask("/v1/models")[2]["models"]
    check_server_v1(check, client, names)
    check_server_v2(check, client, names)
    for name in names:
        model = Model(name, client.ask(f"/v2/models/{name}")[2])
        check_model_v1(check, client, model)
        check_model_v2(check, client, model)
        if args.management:
            check_not_ready(check, client, Client(args.management), model)
        if importlib.util.find_spec("kserve"):
            asyncio.run(check_kserve_client(check, args.url, model))
    check.finish()


if __name__ == "__main__":
    main()
