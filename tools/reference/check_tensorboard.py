#!/usr/bin/env python3
"""Checks TensorBoard files with TensorBoard's own reader, and writes the golden records with its own writer.

    python3 tools/reference/check_tensorboard.py RUN_FOLDER     every figure of events.jsonl is found in the files
    python3 tools/reference/check_tensorboard.py --write        write packages/adapt/golden/tensorboard
    python3 tools/reference/check_tensorboard.py --write --check   compare with it, write nothing

Needs the package tensorboard alone. Exit 1 on a difference.
"""
import argparse
import io
import json
import math
import os
import struct
import sys

import tensorboard
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(REPOSITORY, "packages", "adapt", "golden", "tensorboard")
RECORDS = [
    {"kind": "version", "time": 1750000000.25},
    {"kind": "start", "time": 1750000000.25, "step": 0},
    {"kind": "start", "time": 1750000000.5, "step": 301},
    {"kind": "scalars", "time": 1750000001.0, "step": 1, "scalars": [["train/loss_weighted", 9.25]]},
    {"kind": "scalars", "time": 1750000002.0, "step": 70000, "scalars": [
        ["weights/mean", 0.1], ["weights/q00", 0], ["perf/flops_train", 6.5e20], ["train/grad_norm", "Infinity"],
        ["train/loss_unweighted", -1e-30], ["source/w\u00f6rld \U0001f600/mass", 1]]},
    {"kind": "scalars", "time": 1750000003.0, "step": 5000000000,
     "scalars": [["source/%s/weight" % ("long name " * 30), 0.5]]},
]


def golden_bytes():
    out = io.BytesIO()
    writer = RecordWriter(out)
    for record in RECORDS:
        event = event_pb2.Event(wall_time=record["time"])
        if record["kind"] == "version":
            event.file_version = "brain.Event:2"
        else:
            event.step = record["step"]
        if record["kind"] == "start":
            event.session_log.status = event_pb2.SessionLog.START
        for tag, value in record.get("scalars", []):
            event.summary.value.add(tag=tag, simple_value=float(value))
        writer.write(event.SerializeToString())
    return out.getvalue()


def write_golden(check):
    case = {"case": "tensorboard", "reference": {"name": "tensorboard", "version": tensorboard.__version__},
            "records": RECORDS}
    files = {"case.json": (json.dumps(case, indent=1) + "\n").encode(), "records.tfevents": golden_bytes()}
    if check:
        with open(os.path.join(GOLDEN, "records.tfevents"), "rb") as stored:
            same = stored.read() == files["records.tfevents"]
        print("tensorboard: agrees" if same else "tensorboard: differs from the stored records")
        return 0 if same else 1
    os.makedirs(GOLDEN, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(GOLDEN, name), "wb") as out:
            out.write(content)
    print(f"{GOLDEN}: written with tensorboard {tensorboard.__version__}")
    return 0


def expected_scalars(events):
    """(tag, step) -> value for what counts of the log: a restart voids the steps after it."""
    current = []
    for event in events:
        if event["type"] == "run-start":
            current = [e for e in current if e["step"] <= event["step"]]
        current.append(event)
    found = {}
    for event in current:
        step = event["step"]
        if event["type"] == "step":
            found["train/loss_weighted", step] = event["lossWeighted"]
            found["train/loss_unweighted", step] = event["lossUnweighted"]
            found["train/grad_norm", step] = event["gradNorm"]
            found["train/learning_rate", step] = event["learningRate"]
            found["weights/mean", step] = event["weightMean"]
            found["weights/ess_ratio", step] = event["essRatio"]
            found["scores/mean", step] = event["scoreMean"]
            found["perf/tokens_per_second", step] = event["tokensPerSecond"]
            found["perf/step_ms", step] = event["stepMs"]
            found["perf/flops_train", step] = event["flopsTrain"]
            found["perf/flops_signal", step] = event["flopsSignal"]
            for prefix, key in (("weights", "weightQuantiles"), ("scores", "scoreQuantiles")):
                for percent, value in zip((0, 5, 25, 50, 75, 95, 100), event.get(key, [])):
                    found[f"{prefix}/q{percent:02d}", step] = value
            for what, key in (("mass", "massBySource"), ("weight", "weightMeanBySource")):
                for source, value in event[key].items():
                    found[f"source/{source}/{what}", step] = value
        elif event["type"] == "evaluation":
            for name, result in event["sources"].items():
                found[f"eval/{name}/bits_per_byte", step] = result["bits_per_byte"]
        elif event["type"] == "refresh":
            for name, value in event["diagnostics"].items():
                found[f"anchors/{name}", step] = value
    return found


def read_scalars(folder):
    accumulator = event_accumulator.EventAccumulator(folder, size_guidance={event_accumulator.TENSORS: 0,
                                                                             event_accumulator.SCALARS: 0})
    accumulator.Reload()
    found = {}
    twice = []
    for tag in accumulator.Tags()["scalars"]:
        for scalar in accumulator.Scalars(tag):
            if (tag, scalar.step) in found:
                twice.append((tag, scalar.step))
            found[tag, scalar.step] = scalar.value
    return found, twice


def same(a, b):
    expected = float(a)
    if math.isfinite(expected):
        expected = struct.unpack("<f", struct.pack("<f", expected))[0]
    return expected == b or (math.isnan(expected) and math.isnan(b))


def check_run(run):
    with open(os.path.join(run, "events.jsonl"), encoding="utf-8") as log:
        expected = expected_scalars([json.loads(line) for line in log])
    found, twice = read_scalars(os.path.join(run, "tensorboard"))
    problems = [f"{key}: expected {value}, found {found.get(key, 'none')}" for key, value in expected.items()
                if key not in found or not same(value, found[key])]
    last = max(step for _, step in expected)
    problems += [f"{key}: found, but the log ends at step {last}" for key in found if key[1] > last]
    problems += [f"{key}: found twice" for key in twice]
    print("\n".join(problems[:20]) if problems else
          f"{run}: {len(expected)} scalars of {len({tag for tag, _ in expected})} tags agree with tensorboard "
          f"{tensorboard.__version__}")
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description="Check TensorBoard files with TensorBoard's own reader")
    parser.add_argument("run", nargs="?", help="run folder with events.jsonl and tensorboard/")
    parser.add_argument("--write", action="store_true", help="write the golden records")
    parser.add_argument("--check", action="store_true", help="with --write: compare only")
    options = parser.parse_args()
    if options.write:
        return write_golden(options.check)
    if options.run is None:
        parser.error("expected a run folder, or --write")
    return check_run(options.run)


if __name__ == "__main__":
    sys.exit(main())
