#!/usr/bin/env python3
"""Writes data files as other tools write them: Parquet by pyarrow, Zstandard by the `zstd` command.

    python3 tools/reference/write_data_files.py           write packages/adapt/golden/data-files
    python3 tools/reference/write_data_files.py --check   compare the records in the stored files, write nothing

All files but two hold the records of `records.jsonl`. `bad-text.parquet` has a text that is no UTF-8 in row 2, and
`two-frames.jsonl.zst` holds them in two frames.
"""
import argparse
import json
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
