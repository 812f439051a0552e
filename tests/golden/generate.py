#!/usr/bin/env python3
"""Computes the reference cases of this folder with Captum, in float64.

    python tests/golden/generate.py            # write <Method>/<case>.json, where it differs, and checkpoints/
    python tests/golden/generate.py LRP Lime   # only the cases of these methods
    python tests/golden/generate.py --check    # compare them with a fresh computation

README.md describes the form of a case and requirements.txt pins the versions.
"""

import argparse
import io
import json
import math
import pathlib
import sys
import tempfile
import warnings

import torch
import transformers

import cases
import cases_by_perturbation
import cases_by_rule
import cases_by_sampling
from classifiers import checkpoints
from with_captum import attribute

HERE = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-6
# transformers computes ModernBERT's rotations and softmax in float32, whatever the type of the rest.
TOLERANCE_OF_SINGLE = 1e-5


def same(a, b):
    """Equal but for the last digits, which may differ between processors."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-11)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def same_file(path, content):
    """The same bytes; in a pickle the same tensors, as PyTorch may pack them in another way."""
    if path.suffix != ".bin":
        return path.read_bytes() == content
    there, made = torch.load(path, weights_only=True), torch.load(io.BytesIO(content))
    return there.keys() == made.keys() and all(
        there[name].dtype == made[name].dtype and torch.equal(there[name], made[name])
        for name in made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("methods", nargs="*", help="all if none is named")
    args = parser.parse_args()
    check = args.check
    torch.set_num_threads(1)
    # Captum says that it enlarges an internal batch smaller than its minimum, and that ids have
    # no gradient; transformers, that there is padding without a mask.
    warnings.filterwarnings("ignore", message="[\\s\\S]*nternal batch size")
    warnings.filterwarnings("ignore", message="Input Tensor 0 has a dtype of torch.int64")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    every = [*cases.every(), *cases_by_rule.every(), *cases_by_perturbation.every(), *cases_by_sampling.every()]
    assert len({case["name"] for case in every}) == len(every), "two cases have one name"
    names = {case["name"] for case in every}
    every = [case for case in every if not args.methods or case["method"] in args.methods]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = checkpoints()
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        for case in every:
            single = "modernbert" in case["model"].get("path", "")
            own = {key: case.pop(key) for key in ("tolerance", "compare") if key in case}
            case |= {"expected": attribute(case | own, folder),
                     "tolerance": TOLERANCE_OF_SINGLE if single else TOLERANCE} | own

    present = {path.relative_to(HERE).as_posix() for pattern in ("*/*.json", "checkpoints/*/*")
               for path in HERE.glob(pattern)}
    wrong = sorted(present - {f"{name}.json" for name in names} - set(files))
    for name, content in files.items():
        path = HERE / name
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or not same_file(path, content):
            wrong.append(name)
    for case in every:
        path = HERE / f"{case['name']}.json"
        if path.exists() and same(case, json.loads(path.read_text(encoding="utf-8"))):
            continue
        if check:
            wrong.append(case["name"])
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(case, separators=(",", ":")) + "\n", encoding="utf-8")
    if wrong:
        sys.exit("not as generated: " + ", ".join(wrong))
    print(f"{len(every)} cases and {len(files)} files of checkpoints "
          f"{'agree' if check else 'written'}")


if __name__ == "__main__":
    main()
