#!/usr/bin/env python3
"""Uses MLflow's plugin for TorchServe on a server in TorchServe's place.

    pip install mlflow-torchserve
    python server/tests/clients/torchserve_client.py --config config.properties --input passenger.csv

--config is the file that the server was started with: the plugin takes the addresses from it.
--input is a CSV file of one row below the server's input directory. The plugin posts what it is
given as a form, a tensor as {"data": ...} without a content type; it sends no token. The released
version has no explain(), whose request is then made as the plugin's repository makes it. The number
of workers is changed and set back. Prints a line per check; fails if one does not hold.
"""

import argparse
import csv
import json
import os
import pathlib

from checks import Checks

LABELS = {"Survived", "Not Survived"}


def explain(client, name, request):
    """The plugin's explain(), or its request where it has none."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        return client.explain(name, request)
    except MlflowException:
        return requests.post(f"{client.inference_api}/explanations/{name}", json.loads(request), timeout=60).text


def attempt(call, *args, **kwargs):
    """What a call of the plugin returns; its exception where it fails."""
    try:
        return call(*args, **kwargs)
    except Exception as error:  # the plugin raises bare exceptions
        return error


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--input", type=pathlib.Path, required=True)
    parser.add_argument("--model", default="titanic")
    parser.add_argument("--version", default="1.0")
    args = parser.parse_args()
    os.environ["CONFIG_PROPERTIES"] = str(args.config)

    import pandas
    import torch
    from mlflow.deployments import get_deploy_client

    client = get_deploy_client("torchserve")
    name, versioned = args.model, f"{args.model}/{args.version}"
    check = Checks()

    listed = attempt(client.list_deployments)
    check("list_deployments", isinstance(listed, list) and any(name in entry for entry in listed), listed)
    for deployment in [name, versioned, f"{name}/all"]:
        found = attempt(client.get_deployment, deployment)
        described = json.loads(found["deploy"]) if isinstance(found, dict) else [{}]
        check(f"get_deployment({deployment!r})", described[0].get("modelVersion") == args.version, found)
    unknown = attempt(client.get_deployment, "no-such-model")
    check("get_deployment of an unknown model raises", "404" in str(unknown), unknown)

    path = json.dumps({"input_file_path": [str(args.input.resolve())]})
    with open(args.input, newline="", encoding="utf-8") as file:
        features, numbers = csv.reader(file)
    numbers = [float(number) for number in numbers]
    requests = {
        "a path": path,
        "a record": json.dumps(dict(zip(features, numbers))),
        "a data frame of one row": pandas.DataFrame([numbers], columns=features),
        "a tensor": torch.tensor([numbers]),
    }
    for kind, request in requests.items():
        predicted = attempt(client.predict, name, request)
        check(f"predict from {kind}", str(predicted) in LABELS, predicted)
    predicted = attempt(client.predict, versioned, path)
    check("predict with a version", str(predicted) in LABELS, predicted)
    explained = json.loads(explain(client, name, path))
    check("explain from a path", list(explained) == features, explained)

    for workers in [2, 1]:
        updated = attempt(client.update_deployment, name, config={"min_worker": workers, "synchronous": "true"})
        check(f"update_deployment to {workers} workers", updated == {"flavor": None}, updated)
    updated = attempt(client.update_deployment, versioned, config={"set-default": "true"})
    check("update_deployment of the default version", updated == {"flavor": None}, updated)
    check.finish()


if __name__ == "__main__":
    main()
