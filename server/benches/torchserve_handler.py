"""TorchServe's handler of the Titanic network, after the description of the Captum tutorial.

The form field `input_file_path` names a CSV file: a header, then one passenger a row. A prediction
is the label of the first row; an explanation is integrated gradients for class 1 from a baseline of
zeros in 50 steps, averaged over the rows. The tutorial's figure is not drawn, which makes it faster.
"""

import csv
import json
import pathlib

import torch
from captum.attr import IntegratedGradients
from captum_titanic import N_STEPS, TARGET, network
from ts.torch_handler.base_handler import BaseHandler


class TitanicHandler(BaseHandler):
    def initialize(self, context):
        folder = pathlib.Path(context.system_properties["model_dir"])
        self.model = network(folder / context.manifest["model"]["serializedFile"])
        self.method = IntegratedGradients(self.model)
        self.labels = json.loads((folder / "index_to_name.json").read_text())
        self.initialized = True

    def preprocess(self, requests):
        path = requests[0]["input_file_path"].decode()
        with open(path, newline="", encoding="utf-8") as file:
            self.features, *rows = csv.reader(file)
        return torch.tensor([[float(value) for value in row] for row in rows])

    def inference(self, rows):
        with torch.no_grad():
            return self.model(rows)

    def postprocess(self, probabilities):
        return [self.labels[str(int(probabilities[0].argmax()))]]

    def explain_handle(self, rows, _requests):
        mean = self.method.attribute(rows, target=TARGET, n_steps=N_STEPS).mean(dim=0)
        return [dict(zip(self.features, mean.tolist()))]
