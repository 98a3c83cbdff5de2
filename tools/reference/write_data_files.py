#!/usr/bin/env python3
"""Writes data files as other tools write them: Parquet by pyarrow, Zstandard by the `zstd` command.

    python3 tools/reference/write_data_files.py           write packages/adapt/golden/data-files
    python3 tools/reference/write_data_files.py --check   compare the records in the stored files, write nothing

Files hold the records of `records.jsonl` but for these: `bad-text.parquet` has a text that is no UTF-8 in row 2,
`two-frames.jsonl.zst` holds them in two frames, `values.parquet` holds numbers and keys that JavaScript would change, with
`values.json` as Python's `json.dumps` writes its messages, `nested-*.parquet` hold the rows of `nested.json` as pyarrow reads them,
and `bomb-*.parquet` are small files that unpack to far more than a thousand times their size.
"""
import argparse
import datetime
import decimal
import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).resolve().parents[2] / "packages" / "adapt" / "golden" / "data-files"
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]


def records():
    """Twelve conversations: multi-turn, with system messages, characters of all lengths and large ids."""
    turns = ["Größe?", "Drei Äpfel 🍎 und 1 € für dich.", "数を数えて", "一、二、三", "Thanks", "Welcome."]
    made = []
    for i in range(12):
        messages = [{"role": "system", "content": f"You are helper {i}."}] if i % 3 == 0 else []
        for k in range(1 + i % 3):
            messages.append({"role": "user", "content": f"{turns[(2 * k + i) % 6]} ({i}.{k})"})
            messages.append({"role": "assistant", "content": turns[(2 * k + i + 1) % 6] * (1 + i % 4)})
        made.append({"messages": messages, "id": 9007199254740993 + i, "source": f"s{i % 2}", "weight": 1 + i / 4})
    return made


def table():
    message = pa.struct([("role", pa.string()), ("content", pa.string()), ("name", pa.string())])
    schema = pa.schema([
        ("messages", pa.list_(message)), ("id", pa.int64()), ("source", pa.string()), ("weight", pa.float64()),
        ("tools", pa.string()), ("unused", pa.binary()),
    ])
    return pa.Table.from_pylist([{**record, "unused": b"\0\1"} for record in records()], schema=schema)


def nested_type():
    arguments = pa.struct([
        ("a", pa.string()), ("b", pa.int64()), ("c", pa.list_(pa.float64())), ("d", pa.map_(pa.string(), pa.bool_())),
        ("e", pa.list_(pa.list_(pa.int32()))), ("f", pa.struct([("g", pa.uint8()), ("h", pa.float32())])),
    ])
    call = pa.struct([("function", pa.struct([("name", pa.string()), ("arguments", arguments)]))])
    message = pa.struct([("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(call))])
    meta = pa.struct([
        ("day", pa.date32()), ("at", pa.timestamp("us", tz="UTC")), ("local", pa.timestamp("ms")), ("clock", pa.time64("us")),
        ("price", pa.decimal128(7, 2)), ("large", pa.uint64()), ("half", pa.float16()), ("text", pa.large_string()),
    ])
    return pa.schema([("messages", pa.list_(message)), ("meta", meta), ("weight", pa.float32()), ("id", pa.int64())])


def nested_value(draw, kind):
    """A value of an Arrow type; nulls and empty lists are common."""
    types = pa.types
    if draw.random() < 0.25:
        return None
    if types.is_struct(kind):
        return {field.name: nested_value(draw, field.type) for field in kind}
    if types.is_map(kind):
        return [(key, nested_value(draw, kind.item_type)) for key in draw.sample(["x", "y", "z"], draw.choice([0, 1, 3]))]
    if types.is_list(kind):
        return [nested_value(draw, kind.value_type) for _ in range(draw.choice([0, 1, 2, 5]))]
    if types.is_string(kind) or types.is_large_string(kind):
        return draw.choice(["", "Größe", "prefix-one", "prefix-two", "🍎" * 20])
    if types.is_boolean(kind):
        return draw.random() < 0.5
    if types.is_decimal(kind):
        return decimal.Decimal(draw.randint(-99999, 99999)).scaleb(-2)
    if types.is_date(kind):
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=draw.randint(-20000, 20000))
    if types.is_timestamp(kind):
        zone = datetime.timezone.utc if kind.tz else None
        return datetime.datetime(2001, 2, 3, tzinfo=zone) + datetime.timedelta(milliseconds=draw.randint(-10**12, 10**12))
    if types.is_time(kind):
        return datetime.time(draw.randint(0, 23), draw.randint(0, 59), draw.randint(0, 59), draw.choice([0, 500000, 12]))
    if types.is_floating(kind):
        return draw.choice([0.5, -1.25, 3.0, 0.0])
    return draw.choice([0, 1, 200]) if kind.bit_width == 8 else draw.choice([0, 7, 2 ** (kind.bit_width - 2) + 1])


def nested_table():
    draw = random.Random(7)
    rows = [{field.name: nested_value(draw, field.type) for field in nested_type()} for _ in range(60)]
    return pa.Table.from_pylist(rows, schema=nested_type())


def as_json(value):
    """As a record has it: whole numbers as text, times as ISO 8601, maps as objects."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return {key: as_json(inner) for key, inner in value}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, datetime.datetime):
        zone = "Z" if value.tzinfo else ""
        return value.strftime("%Y-%m-%dT") + as_json(value.time()) + zone
    if isinstance(value, datetime.time):
        unit = "microseconds" if value.microsecond % 1000 else "milliseconds" if value.microsecond else "seconds"
        return value.isoformat(unit)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return float(value)


def nested_rows():
    """The rows as pyarrow gives them back; an empty map is an empty object."""
    rows = nested_table().to_pylist(maps_as_pydicts="strict")
    return [as_json(row) for row in rows]


def values_table():
    """Integers above 2^53, floats that look like integers, and keys of digits in structs, maps and JSON."""
    arguments = pa.struct([
        ("zeta", pa.int64()), ("10", pa.float64()), ("2", pa.int32()), ("map", pa.map_(pa.string(), pa.float32())),
        ("large", pa.uint64()), ("list", pa.list_(pa.float64())),
    ])
    message = pa.struct([("role", pa.string()), ("content", pa.string()), ("arguments", arguments)])
    given = [
        {"zeta": 2**53 + 1, "10": 1.0, "2": 3, "map": [("b", 1.0), ("10", 0.1), ("2", -0.0)], "large": 2**64 - 1, "list": [1e16, 1e-5, 2.5]},
        {"zeta": -(2**63), "10": float("inf"), "2": None, "map": None, "large": 0, "list": []},
    ]
    rows = [
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "arguments": arguments}] for arguments in given
    ]
    tools = ['[{"b": 1.0, "10": 12345678901234567890, "2": null, "a": {}}]'] * 2
    return pa.table({
        "messages": pa.array(rows, pa.list_(message)),
        "tools": pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(tools)),
    })


def without_none(value):
    """A map is an object; a null key is absent."""
    if isinstance(value, dict):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    return [without_none(inner) for inner in value] if isinstance(value, list) else value


def values_json():
    rows = values_table().to_pylist(maps_as_pydicts="strict")
    texts = [[json.dumps(without_none(row["messages"])), json.dumps(json.loads(row["tools"]))] for row in rows]
    return json.dumps(texts, indent=1) + "\n"


PLAIN = {"BYTE_ARRAY": "DELTA_BYTE_ARRAY", "INT32": "DELTA_BINARY_PACKED", "INT64": "DELTA_BINARY_PACKED",
         "FLOAT": "BYTE_STREAM_SPLIT", "DOUBLE": "BYTE_STREAM_SPLIT", "BOOLEAN": "RLE",
         "FIXED_LEN_BYTE_ARRAY": "BYTE_STREAM_SPLIT"}


def write_nested():
    (FOLDER / "nested.json").write_text(json.dumps(nested_rows(), ensure_ascii=False, separators=(",", ":")) + "\n")
    small = {"data_page_size": 64, "row_group_size": 17}
    variants = {
        "v1-dictionary": {"compression": "snappy", **small},
        "v1-plain": {"compression": "brotli", "use_dictionary": False, "use_compliant_nested_type": False, "version": "1.0"},
        "v2-dictionary": {"compression": "zstd", "data_page_version": "2.0", "write_page_index": True, **small},
        "v2-plain": {"compression": "none", "data_page_version": "2.0", "use_dictionary": False, **small},
    }
    for name, options in variants.items():
        pq.write_table(nested_table(), FOLDER / f"nested-{name}.parquet", **options)
    schema = pq.ParquetFile(FOLDER / "nested-v2-plain.parquet").schema
    leaves = [schema.column(i) for i in range(len(schema))]
    encodings = {leaf.path: PLAIN[leaf.physical_type] for leaf in leaves}
    pq.write_table(nested_table(), FOLDER / "nested-v2-delta.parquet", compression="gzip", data_page_version="2.0",
                   use_dictionary=False, column_encoding=encodings)


def write_bombs():
    """A text that is used again and again, differences that grow, runs of one value, and a page of zeros."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"text": text}), FOLDER / "bomb-dictionary.parquet", compression="zstd")
    growing = pa.table({"text": ["a" * i for i in range(20_000)]})
    pq.write_table(growing, FOLDER / "bomb-delta.parquet", compression="zstd", use_dictionary=False,
                   column_encoding="DELTA_BYTE_ARRAY", data_page_size=2**30)
    runs = pa.array([[True] * 50_000_000], pa.list_(pa.bool_()))
    pq.write_table(pa.table({"messages": runs}), FOLDER / "bomb-runs.parquet", compression="zstd", use_dictionary=False,
                   column_encoding={"messages.list.element": "RLE"})
    zeros = pa.table({"text": ["a" * 300_000_000]})
    pq.write_table(zeros, FOLDER / "bomb-page.parquet", compression="brotli", use_dictionary=False)


def lines():
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records()).encode()


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def write():
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "records.jsonl").write_bytes(lines())
    for codec in CODECS:
        pq.write_table(table(), FOLDER / f"{codec}.parquet", compression=codec, row_group_size=5)
    pq.write_table(table(), FOLDER / "page-index.parquet", compression="zstd", write_page_index=True)
    texts = pa.array([b"good", b"b\xffd", b"fine"], type=pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), FOLDER / "bad-text.parquet")
    pq.write_table(values_table(), FOLDER / "values.parquet")
    pq.write_table(pa.table({"text": ["a river runs"]}), FOLDER / "checksum.parquet", compression="none",
                   use_dictionary=False, write_statistics=False, write_page_checksum=True)
    (FOLDER / "values.json").write_text(values_json())
    write_nested()
    write_bombs()
    (FOLDER / "records.jsonl.zst").write_bytes(zstd(lines()))
    (FOLDER / "no-checksum.jsonl.zst").write_bytes(zstd(lines(), "-19", "--no-check"))
    half = lines().index(b"\n") + 1
    (FOLDER / "two-frames.jsonl.zst").write_bytes(zstd(lines()[:half]) + zstd(lines()[half:]))


def differences():
    found = []
    if (FOLDER / "records.jsonl").read_bytes() != lines():
        found.append("records.jsonl")
    for name in [f"{codec}.parquet" for codec in CODECS] + ["page-index.parquet"]:
        if pq.read_table(FOLDER / name) != table():
            found.append(name)
    if (FOLDER / "values.json").read_text() != values_json() or pq.read_table(FOLDER / "values.parquet") != values_table():
        found.append("values.parquet")
    if json.loads((FOLDER / "nested.json").read_text()) != nested_rows():
        found.append("nested.json")
    for path in FOLDER.glob("nested-*.parquet"):
        if pq.read_table(path) != nested_table():
            found.append(path.name)
    for name in ["records.jsonl.zst", "no-checksum.jsonl.zst", "two-frames.jsonl.zst"]:
        unpacked = subprocess.run(["zstd", "-q", "-d", "-c", FOLDER / name], stdout=subprocess.PIPE, check=True).stdout
        if unpacked != lines():
            found.append(name)
    return found


def main():
    parser = argparse.ArgumentParser(description="Write or check data files made by other tools")
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    if not parser.parse_args().check:
        write()
        print(f"{FOLDER}: written with pyarrow {pa.__version__}")
        return 0
    found = differences()
    print("\n".join(f"{name}: differs" for name in found) if found else "data-files: agrees")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
