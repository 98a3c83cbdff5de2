#!/usr/bin/env python3
"""Writes the golden cases that transformers, PEFT and packages for BM25 compute, or checks the stored ones against this interpreter.

    python tools/reference/write_model_goldens.py                  write every case
    python tools/reference/write_model_goldens.py model-mistral    write one
    python tools/reference/write_model_goldens.py --check          compare, write nothing, exit 1 on a difference
"""
import sys

import case_architectures
import case_bm25
import case_generate
import case_lora
import case_lora_train
from write_goldens import main

if __name__ == "__main__":
    sys.exit(main((case_architectures, case_lora, case_lora_train, case_generate, case_bm25)))
