#!/usr/bin/env python3
"""Explains comments in a Spark job that pipes JSON lines through `candle-explain batch`.

    pip install pyspark
    python server/tests/clients/spark.py --binary target/release/candle-explain --partitions 4

Spark reads the CSV file with its column `text`, numbers the comments and pipes each partition
through a process of its own. Every number must come back exactly once, with an explanation or with
the reason why there is none (a comment without words, for example); those are printed. Prints the
rate, starting the processes included; fails if a comment is missing or doubled, or has neither.
"""

import argparse
import collections
import json
import os
import pathlib
import shlex
import sys
import time

from checks import Checks
from pyspark.sql import SparkSession

ROOT = pathlib.Path(__file__).resolve().parents[3]


def comments(spark, path):
    """JSON lines {"id": n, "text": ...}."""
    table = spark.read.csv(str(path), header=True, multiLine=True, quote='"', escape='"')
    numbered = table.select("text").rdd.zipWithIndex()
    return numbered.map(lambda pair: json.dumps({"id": pair[1], "text": pair[0].text}, ensure_ascii=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/candle-explain")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "data/sentiment-vi")
    parser.add_argument("--input", type=pathlib.Path, default=ROOT / "data/comments.csv")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--partitions", type=int, default=2)
    args = parser.parse_args()

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = SparkSession.builder.master(args.master).appName("explanations").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    lines = comments(spark, args.input).repartition(args.partitions).cache()
    count = lines.count()
    batch = shlex.join([str(args.binary.resolve()), "batch", "--model", str(args.model.resolve()), "--explain"])
    started = time.monotonic()
    one_thread = {"RAYON_NUM_THREADS": "1"}  # it is Spark that fills the cores
    answers = [json.loads(line) for line in lines.pipe(batch, one_thread, checkCode=True).collect()]
    seconds = time.monotonic() - started
    spark.stop()

    print(f"{count} comments in {args.partitions} partitions: {seconds:.1f} s, {count / seconds:.1f}/s")
    check = Checks()
    ids = collections.Counter(answer.get("id") for answer in answers)
    missing = [number for number in range(count) if number not in ids]
    check("every comment comes back", not missing, missing)
    doubled = [number for number, times in ids.items() if times > 1 or number not in range(count)]
    check("none comes back twice, and none that was not sent", not doubled, doubled)
    refused = [answer for answer in answers if "error" in answer]
    for answer in refused:
        print(f"not explained: {answer}")
    unexplained = [answer for answer in answers if not answer.get("error") and not answer.get("words")]
    check("each has its words and attributions, or the reason why not", not unexplained, unexplained[:1])
    check("hardly any are refused", len(refused) <= count // 1000, len(refused))
    check.finish()


if __name__ == "__main__":
    main()
