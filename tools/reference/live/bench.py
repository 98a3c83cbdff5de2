"""Jobs for the project's own program, and the table of what their results differ by."""
import json
import math
import subprocess
from pathlib import Path

import torch

import tiny_models
from golden import REFERENCE, relative_difference
from safetensors_file import save_file


class Bench:
    """Collects jobs for `run-jobs.mjs`; `run` does them in one process and then makes every comparison."""

    def __init__(self, folder, seed):
        self.folder, self.seed = Path(folder), seed
        self.jobs, self.comparisons, self.tables = [], [], {}

    def write_model(self, name):
        """A random model, its inputs in three layouts, and the folder with both on the disk."""
        model, folder = tiny_models.make_model(name, self.seed), self.folder / name
        model.generation_config.eos_token_id = [2, 5]  # more than config.json says, as in chat models
        inputs = tiny_models.make_inputs(model.config.vocab_size, self.seed + 1)
        if not folder.exists():
            model.save_pretrained(folder)
            save_file(inputs, folder / "inputs.safetensors")
        return model, inputs, folder

    def add(self, kind, name, compare, **arguments):
        """A job with an own folder `out`. Afterwards `compare(out, report)` calls `report(what, figure, limit)` for each figure."""
        out = self.folder / f"{kind}-{name}"
        self.jobs.append({"kind": kind, "out": str(out), **arguments})

        def report(what, figure, limit):
            row = self.tables.setdefault(kind, {}).setdefault(name, {})
            figure = max(figure, row.get(what, (0, limit))[0])  # a column shows the worst of its layouts
            row[what] = (float("inf") if math.isnan(figure) else figure, limit)

        self.comparisons.append(lambda: compare(out, report))

    def run(self, node):
        """Does the jobs, compares and prints a table for each kind; true when no figure is above its limit."""
        jobs = self.folder / "jobs.json"
        jobs.write_text(json.dumps(self.jobs, default=str))
        subprocess.run([node, str(REFERENCE / "live" / "run-jobs.mjs"), str(jobs)], check=True)
        for compare in self.comparisons:
            compare()
        for kind, rows in self.tables.items():
            print_table(kind, rows)
        return all(figure <= limit for rows in self.tables.values() for row in rows.values() for figure, limit in row.values())


def print_table(kind, rows):
    """Subjects down, figures across, the limits in the last line; a figure above its limit has a `!`."""
    columns = list(next(iter(rows.values())))  # the first subject has every column
    limits = {what: limit for row in rows.values() for what, (_, limit) in row.items()}

    def line(head, cells):
        return head.ljust(34) + "".join(cell.rjust(max(len(what), 8) + 3) for what, cell in zip(columns, cells))

    def shown(figure, limit):
        return ("!" if figure > limit else "") + (f"{figure:.1e}" if figure else "0")

    print(f"\n{line(kind, columns)}")
    for name, row in rows.items():
        print(line(name, [shown(*row[what]) if what in row else "" for what in columns]))
    print(line("limit", [f"{limits[what]:.0e}" if limits[what] else "0" for what in columns]))


def largest_difference(actual, expected):
    """The largest relative difference over two sets of tensors of the same names; infinite when a name is missing."""
    if actual.keys() != expected.keys():
        return float("inf")
    return max(relative_difference(actual[name], expected[name]) for name in expected)


def packed_logits(model, inputs):
    """Logits of the packed row, each sample alone, without gradients."""
    with torch.no_grad():
        return tiny_models.run_layout(model, inputs, "packed")[0]


def compare_results(results, model, inputs, report, limit, rename=lambda name: name):
    """Logits, loss and gradients of the three layouts against those of `model`."""
    for layout in ("right", "left", "packed"):
        logits_BTV, loss = tiny_models.run_layout(model, inputs, layout)
        gradients = {rename(name): value for name, value in tiny_models.gradients(model).items()}
        there_BT = inputs[layout + ".segment_BT"] >= 0
        prefix = layout + ".grad."
        found = {name[len(prefix) :]: value for name, value in results.items() if name.startswith(prefix)}
        report("logits", relative_difference(results[layout + ".logits_NV"], logits_BTV[there_BT]), limit)
        report("loss", abs(results[layout + ".loss"].item() / loss - 1), limit)
        report("gradients", largest_difference(found, gradients), limit)
