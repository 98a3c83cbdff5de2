"""What every golden case shares: where it lies, what `case.json` says, and how two tensors are compared."""
import hashlib
import json
from pathlib import Path

import torch

from safetensors_file import load_file, save_file

REFERENCE = Path(__file__).resolve().parent
REPOSITORY = REFERENCE.parents[1]
SHARED_SOURCES = ["golden.py", "safetensors_file.py"]


def relative_difference(actual, expected):
    """|a - b| / |b| with Euclidean norms over the whole tensor; |a - b| itself where b is zero."""
    actual, expected = actual.double().reshape(-1), expected.double().reshape(-1)
    norm = expected.norm().item()
    distance = (actual - expected).norm().item()
    return distance / norm if norm > 0 else distance


def generator_hash(sources):
    """SHA-256 over the sources of a case, in sorted order, each preceded by its name and a newline."""
    digest = hashlib.sha256()
    for name in sorted(set(sources) | set(SHARED_SOURCES)):
        digest.update(name.encode() + b"\n")
        digest.update((REFERENCE / name).read_bytes())
    return digest.hexdigest()


class Case:
    """One golden folder: `case.json`, `tensors.safetensors` and any further tensor files.

    `tensors` maps a file name to `{tensor name: tensor}`; `values` is plain JSON (float64 numbers).
    """

    def __init__(self, package, name, sources, seed, config, reason, tensors, values=None, model=None,
                 tolerance=1e-5, deviation=None, reference=None, files=None):
        self.folder = Path("packages") / package / "golden" / name
        self.name, self.sources, self.seed, self.config = name, sources, seed, config
        self.reason, self.tensors, self.values, self.model = reason, tensors, values, model
        self.tolerance, self.deviation = tolerance, deviation
        self.reference = reference or {"name": "PyTorch", "version": torch.__version__}
        self.files = files or {}

    def describe(self):
        record = {
            "case": self.name,
            "seed": self.seed,
            "config": self.config,
            "reference": {**self.reference, "series": ".".join(self.reference["version"].split(".")[:2])},
            "generator": {
                "files": sorted("tools/reference/" + name for name in set(self.sources) | set(SHARED_SOURCES)),
                "sha256": generator_hash(self.sources),
            },
            "tolerance": {
                "sameVersion": self.tolerance,
                "otherVersions": 10 * self.tolerance,
                "measure": "|a - b| / |b|, Euclidean norms over a whole tensor",
                "reason": self.reason,
            },
        }
        if self.deviation is not None:
            record["float64Deviation"] = self.deviation
        if self.model is not None:
            record["model"] = self.model
        if self.values is not None:
            record["values"] = self.values
        return record

    def write(self, root):
        folder = Path(root) / self.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "case.json").write_text(format_json(self.describe()) + "\n")
        for name, tensors in self.tensors.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, folder / name, {"format": "pt"})
        for name, content in self.files.items():
            (folder / name).write_text(format_json(content) + "\n")

    def differences(self, root):
        """Lines that say where the stored case is not what this generator makes now."""
        folder, lines = Path(root) / self.folder, []
        if not (folder / "case.json").exists():
            return [f"{self.folder}: missing"]
        stored = json.loads((folder / "case.json").read_text())
        same = stored["reference"]["series"] == self.describe()["reference"]["series"]
        limit = stored["tolerance"]["sameVersion" if same else "otherVersions"]
        if stored["generator"]["sha256"] != generator_hash(self.sources):
            lines.append(f"{self.folder}: the generator changed after the case was written")
        for name, tensors in self.tensors.items():
            kept = load_file(folder / name)
            if kept.keys() != tensors.keys():
                lines.append(f"{self.folder}/{name}: tensor names differ")
                continue
            for key, tensor in tensors.items():
                difference = relative_difference(tensor, kept[key])
                if not difference <= limit:
                    lines.append(f"{self.folder}/{name}: {key} differs by {difference:.2e}, limit {limit:.0e}")
        for path, expected, actual in _numbers(stored.get("values"), self.values, "values"):
            if not abs(actual - expected) <= limit * max(abs(expected), 1e-8):
                lines.append(f"{self.folder}/case.json: {path} is {actual!r}, stored {expected!r}")
        return lines


def _numbers(stored, made, path):
    """Pairs the numbers of two JSON values of one structure; text and structure must agree exactly."""
    if isinstance(stored, dict) and isinstance(made, dict) and stored.keys() == made.keys():
        for key in stored:
            yield from _numbers(stored[key], made[key], f"{path}.{key}")
    elif isinstance(stored, list) and isinstance(made, (list, tuple)) and len(stored) == len(made):
        for index, pair in enumerate(zip(stored, made)):
            yield from _numbers(pair[0], pair[1], f"{path}[{index}]")
    elif isinstance(stored, (int, float)) and isinstance(made, (int, float)):
        yield path, stored, made
    elif stored != made:
        raise ValueError(f"{path}: stored {stored!r}, made {made!r}")


def format_json(value, indent=0):
    """JSON with arrays and small objects of plain values on one line."""
    def plain(item):
        return not isinstance(item, (dict, list, tuple))

    pad = "  " * (indent + 1)
    if isinstance(value, dict) and value and not (indent > 1 and all(map(plain, value.values()))):
        body = ",\n".join(f"{pad}{json.dumps(key)}: {format_json(item, indent + 1)}" for key, item in value.items())
        return "{\n" + body + "\n" + "  " * indent + "}"
    if isinstance(value, (list, tuple)) and value and not all(map(plain, value)):
        return "[\n" + ",\n".join(pad + format_json(item, indent + 1) for item in value) + "\n" + "  " * indent + "]"
    return json.dumps(value, ensure_ascii=False)
