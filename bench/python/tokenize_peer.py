#!/usr/bin/env python3
"""The tokenising of `bench:startup` by Hugging Face's datasets and tokenizers.

    python tokenize_peer.py FILE.jsonl TOKENIZER.json CACHE_FOLDER [PROCESSES]

Prints one JSON object: seconds of `datasets.map` alone, batched and with PROCESSES processes (2), seconds of `load_dataset` before it, and a SHA-256
of all ids as int32 in the order of the file. The program and the tokenizer are loaded before the clock starts.
"""
import hashlib
import json
import sys
import time

import datasets
import numpy
from tokenizers import Tokenizer


def main():
    file, tokenizer_file, cache, *processes = sys.argv[1:]
    datasets.disable_progress_bars()
    tokenizer = Tokenizer.from_file(tokenizer_file)
    begun = time.perf_counter()
    texts = datasets.load_dataset("json", data_files=file, split="train", cache_dir=cache)
    loaded = time.perf_counter()

    def encode(batch):
        encodings = tokenizer.encode_batch(batch["text"], add_special_tokens=False)
        return {"input_ids": [encoding.ids for encoding in encodings]}

    ids = texts.map(
        encode, batched=True, num_proc=int((processes or ["2"])[0]), remove_columns=texts.column_names
    )
    done = time.perf_counter()
    digest, tokens = hashlib.sha256(), 0
    for batch in ids.with_format("numpy").iter(batch_size=1000):
        for row in batch["input_ids"]:
            digest.update(numpy.asarray(row, dtype="<i4").tobytes())
            tokens += len(row)
    print(
        json.dumps(
            {
                "seconds": done - loaded,
                "load_seconds": loaded - begun,
                "documents": len(ids),
                "tokens": tokens,
                "hash": digest.hexdigest(),
                "versions": {"datasets": datasets.__version__},
            }
        )
    )


if __name__ == "__main__":
    main()
