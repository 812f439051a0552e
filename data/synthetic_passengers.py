#!/usr/bin/env python3
"""Generates synthetic_passengers.csv: an invented passenger table for demos.

    python data/synthetic_passengers.py            # write the table
    python data/synthetic_passengers.py --check    # exit 1 if the committed table differs

The only sources are the totals and the simple distributions written below; no
passenger list is read. Every draw goes through `random.Random(SEED).random()`,
whose sequence Python guarantees, and through plain arithmetic, so that every
Python 3 writes the same bytes.
"""

import argparse
import csv
import io
import math
import pathlib
import random
import sys

SEED = 1912
OUTPUT = pathlib.Path(__file__).resolve().with_suffix(".csv")
COLUMNS = [
    "pclass", "survived", "name", "sex", "age", "sibsp", "parch",
    "ticket", "fare", "cabin", "embarked", "boat", "body", "home.dest",
]

# Published totals.

# class, sex: all and survivors (passenger list of 1309), children among both
# (British inquiry of 1912; a child is taken to be under 12 here).
CELLS = [
    (1, "female", 144, 139, 1, 1),
    (1, "male", 179, 61, 5, 5),
    (2, "female", 106, 94, 13, 13),
    (2, "male", 171, 25, 11, 11),
    (3, "female", 216, 106, 31, 14),
    (3, "male", 493, 75, 48, 13),
]
PORTS = {
    1: {"C": 141, "Q": 3, "S": 177, "": 2},
    2: {"C": 28, "Q": 7, "S": 242},
    3: {"C": 101, "Q": 113, "S": 495},
}
AGES_MISSING = {1: 39, 2: 16, 3: 208}
FARES_MISSING = {1: 0, 2: 0, 3: 1}

# Rounded quantiles, (share, value), joined by straight lines.

CHILD_AGE = [(0, 0.3), (0.2, 2), (1, 12)]
ADULT_AGE = {
    1: [(0, 13), (0.05, 18), (0.25, 28), (0.5, 39), (0.75, 50), (0.95, 62), (1, 78)],
    2: [(0, 13), (0.05, 18), (0.25, 24), (0.5, 30), (0.75, 37), (0.95, 55), (1, 70)],
    3: [(0, 13), (0.08, 17), (0.25, 21), (0.5, 26), (0.75, 33), (0.95, 45), (1, 72)],
}
LONE_FARE = {
    1: [(0, 5), (0.02, 25), (0.25, 30), (0.5, 50), (0.75, 80), (0.95, 200), (1, 330)],
    2: [(0, 9), (0.25, 12), (0.5, 13), (0.75, 24), (0.95, 36), (1, 70)],
    3: [(0, 5), (0.25, 7.75), (0.5, 8), (0.75, 11), (0.95, 28), (1, 60)],
}

# Invented shares of 0, 1, 2, ... relatives on board.

CHILD_SIBSP = {
    1: [0.4, 0.4, 0.2],
    2: [0.4, 0.4, 0.2],
    3: [0.25, 0.28, 0.1, 0.1, 0.17, 0.06, 0, 0, 0.04],
}
CHILD_PARCH = [0, 0.4, 0.6]
ADULT_SIBSP = {"female": [0.64, 0.31, 0.03, 0.02], "male": [0.77, 0.2, 0.02, 0.01]}
ADULT_PARCH = {"female": [0.7, 0.17, 0.1, 0.01, 0.01, 0.01], "male": [0.9, 0.06, 0.04]}


def quantile(rng, table):
    u = rng.random()
    for (low, start), (high, end) in zip(table, table[1:]):
        if u <= high:
            return start + (end - start) * (u - low) / (high - low)


def count(rng, shares):
    u = rng.random()
    for value, share in enumerate(shares):
        u -= share
        if u < 0:
            return value
    return 0  # the shares' sum fell short of u by rounding


def shuffle(rng, items):
    """Fisher-Yates by hand: the algorithm of `random.shuffle` is not guaranteed."""
    for last in range(len(items) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


def choose(rng, passengers, number, weight):
    """Draws `number` passengers without replacement, in proportion to `weight`."""
    left = list(passengers)
    for _ in range(number):
        u = rng.random() * math.fsum(map(weight, left))  # exact, unlike sum
        position = 0
        while position < len(left) - 1 and u >= weight(left[position]):
            u -= weight(left[position])
            position += 1
        yield left.pop(position)


def odds(passenger):
    """Who is likelier to survive among passengers of the same class, sex and age group.

    Invented weights in the known directions: against big families and age, for
    small families and for those who boarded at Cherbourg.
    """
    family = passenger["sibsp"] + passenger["parch"]
    return (
        (0.3 if family >= 4 else 1.3 if family else 1.0)
        * max(0.2, 2 - passenger["age"] / 30)
        * (1.6 if passenger["embarked"] == "C" else 1.0)
    )


def draw(rng, pclass, sex, child, port):
    """A passenger whose survival is not decided yet."""
    sibsp = count(rng, CHILD_SIBSP[pclass] if child else ADULT_SIBSP[sex])
    parch = count(rng, CHILD_PARCH if child else ADULT_PARCH[sex])
    age = quantile(rng, CHILD_AGE if child else ADULT_AGE[pclass])
    fare = quantile(rng, LONE_FARE[pclass])
    if sibsp + parch:  # a ticket for a family costs more: take the dearer of two draws
        fare = max(fare, quantile(rng, LONE_FARE[pclass]))
    return dict.fromkeys(COLUMNS, "") | {
        "pclass": pclass,
        "survived": 0,
        "sex": sex,
        "age": int(age) if age >= 1 else round(age, 2),
        "sibsp": sibsp,
        "parch": parch,
        "fare": round(fare, 2),
        "embarked": port,
    }


def generate():
    rng = random.Random(SEED)
    table = []
    for pclass, ports in PORTS.items():
        deck = [port for port, number in ports.items() for _ in range(number)]
        shuffle(rng, deck)
        passengers = []
        for cell_class, sex, total, survivors, children, saved_children in CELLS:
            if cell_class != pclass:
                continue
            groups = [
                (True, children, saved_children),
                (False, total - children, survivors - saved_children),
            ]
            for child, size, saved in groups:
                group = [draw(rng, pclass, sex, child, deck.pop()) for _ in range(size)]
                for passenger in choose(rng, group, saved, odds):
                    passenger["survived"] = 1
                passengers += group
        for column, missing in [("age", AGES_MISSING), ("fare", FARES_MISSING)]:
            for passenger in choose(rng, passengers, missing[pclass], lambda _: 1):
                passenger[column] = ""
        shuffle(rng, passengers)
        table += passengers
    for number, passenger in enumerate(table, start=1):
        passenger["name"] = f"Synthetic passenger {number:04}"
    return table


def to_csv(table):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    content = to_csv(generate())
    if not check:
        OUTPUT.write_bytes(content)
    elif not OUTPUT.exists() or OUTPUT.read_bytes() != content:
        sys.exit(f"{OUTPUT.name} is not what this script generates")
    print(f"{OUTPUT.name}: {'as generated' if check else 'written'}")


if __name__ == "__main__":
    main()
