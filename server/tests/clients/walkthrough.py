#!/usr/bin/env python3
"""Runs the commands of the TorchServe walkthrough, with candle-explain in TorchServe's place.

    cargo build --release -p candle-explain-cli
    python server/tests/clients/walkthrough.py --binary target/release/candle-explain

In a fresh folder: archive the model, start the server, both curl requests for a passenger who
survives and one who does not, stop the server. It listens where the walkthrough says, on the ports
8080 to 8082. With the tutorial's weights and passenger list (--data FOLDER) the answers are compared
with TorchServe's, else signs and zeros are checked with data/titanic.safetensors and two invented
passengers. Prints a line per check; fails if one does not hold.
"""

import argparse
import csv
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass

from checks import Checks

ROOT = pathlib.Path(__file__).resolve().parents[3]
FEATURES = "age,sibsp,parch,fare,female,male,embark_C,embark_Q,embark_S,class_1,class_2,class_3".split(",")
CONFIG = """\
inference_address=http://127.0.0.1:8080
management_address=http://127.0.0.1:8081
metrics_address=http://127.0.0.1:8082
input_directory=test_data
"""
LABELS = {"0": "Not Survived", "1": "Survived"}
ARCHIVE = """\
{program} archive --model-name titanic --version 1.0 --serialized-file models/titanic.safetensors \
--handler titanic --extra-files index_to_name.json
mkdir model_store
mv titanic.mar model_store/
"""
START = "{program} serve --start --model-store model_store/ --ts-config config.properties"
PREDICTION = """\
curl -H "Content-Type: application/json" http://127.0.0.1:8080/predictions/titanic --data @test_data/input.json
"""
EXPLANATION = """\
curl -H "Content-Type: application/json"  http://127.0.0.1:8080/explanations/titanic --data @test_data/input.json
"""
STOP = "{program} serve --stop"

# Of TorchServe with the tutorial's handler, weights and surviving passenger, to four digits.
TORCHSERVE = {"age": -0.0325, "fare": -0.0008, "female": 0.0289, "embark_S": -0.0125, "class_1": 0.0165}
INVENTED = {
    "Survived": {"age": 24, "sibsp": 0, "parch": 0, "fare": 80, "sex": "female", "embarked": "C", "pclass": 1},
    "Not Survived": {"age": 40, "sibsp": 0, "parch": 0, "fare": 8, "sex": "male", "embarked": "S", "pclass": 3},
}


@dataclass
class Tutorial:
    """Weights and passengers, by the label that they are predicted."""

    weights: pathlib.Path
    passengers: dict

    @classmethod
    def from_folder(cls, folder):
        """The tutorial's own, of which only the first and the fourth passenger are needed."""
        with open(folder / "titanic3.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        passengers = {"Survived": rows[0], "Not Survived": rows[3]}
        return cls(folder / "titanic_tutorial_weights.safetensors", passengers)


def encode(passenger):
    """A passenger's twelve numbers."""
    marks = [
        *(passenger["sex"] == sex for sex in ["female", "male"]),
        *(passenger["embarked"] == port for port in "CQS"),
        *(str(passenger["pclass"]) == number for number in "123"),
    ]
    return [float(passenger[name]) for name in ["age", "sibsp", "parch", "fare"]] + [float(mark) for mark in marks]


def shell(command, folder):
    return subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, timeout=120)


def prepare(folder, tutorial):
    """What the walkthrough's example folder holds."""
    for name in ["models", "test_data"]:
        (folder / name).mkdir()
    shutil.copy(tutorial.weights, folder / "models/titanic.safetensors")
    (folder / "index_to_name.json").write_text(json.dumps(LABELS))
    (folder / "config.properties").write_text(CONFIG)


def write_input(folder, passenger):
    """A CSV file of one passenger, and the input.json that names it."""
    rows = folder / "test_data/passenger.csv"
    with open(rows, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([FEATURES, encode(passenger)])
    (folder / "test_data/input.json").write_text(json.dumps({"input_file_path": [str(rows)]}))


def answers_ping():
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/ping", timeout=5) as answer:
            return json.load(answer) == {"status": "Healthy"}
    except urllib.error.URLError:
        return False


def check_explanation(check, label, values, passenger, is_tutorial):
    check(f"{label}: an attribution for each feature", list(values) == FEATURES, values)
    nothing = [name for name, value in zip(FEATURES, encode(passenger)) if value == 0]
    check(f"{label}: what equals the baseline gets 0", all(values.get(name) == 0 for name in nothing), values)
    if not is_tutorial:
        sex = passenger["sex"]
        check(f"{label}: the sign of {sex}", (values.get(sex, 0) > 0) == (sex == "female"), values)
    elif label == "Survived":
        rounded = {name: round(value, 4) for name, value in values.items() if round(value, 4)}
        check(f"{label}: the values of TorchServe", rounded == TORCHSERVE, rounded)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/candle-explain")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data", help="if it is there")
    args = parser.parse_args()
    is_tutorial = (args.data / "titanic3.csv").exists()
    tutorial = Tutorial.from_folder(args.data) if is_tutorial else Tutorial(ROOT / "data/titanic.safetensors", INVENTED)
    program = args.binary.resolve()
    check = Checks()

    if answers_ping():
        raise SystemExit("a server listens on port 8080 already: stop it first")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder, tutorial)
        archived = shell(ARCHIVE.format(program=program), folder)
        check("the archive is in model_store", (folder / "model_store/titanic.mar").exists(), archived.stderr)
        started = shell(START.format(program=program), folder)
        check("--start returns", started.returncode == 0, started.stderr)
        check("the server is healthy when it does", answers_ping())
        try:
            for label, passenger in tutorial.passengers.items():
                write_input(folder, passenger)
                prediction = shell(PREDICTION, folder).stdout
                check(f"{label}: the prediction", prediction == label, prediction)
                explanation = shell(EXPLANATION, folder).stdout
                is_json = explanation.startswith("{\n  ")
                check(f"{label}: the explanation is JSON indented by 2", is_json, explanation)
                if is_json:
                    check_explanation(check, label, json.loads(explanation), passenger, is_tutorial)
        finally:
            stopped = shell(STOP.format(program=program), folder)
        check("--stop returns", stopped.returncode == 0, stopped.stderr)
        check("nothing answers any more", not answers_ping())
    check.finish()


if __name__ == "__main__":
    main()
