#!/usr/bin/env python3
"""Writes the golden cases that need nothing but PyTorch, or checks the stored ones against this interpreter.

    python3 tools/reference/write_goldens.py                  write every case
    python3 tools/reference/write_goldens.py llama-two-layer  write one
    python3 tools/reference/write_goldens.py --check          compare, write nothing, exit 1 on a difference
"""
import argparse
import sys

import torch

import case_adapt_contrastive
import case_adapt_step
import case_ado
import case_dataflex
import case_dft
import case_doge
import case_doremi
import case_dsir
import case_draws
import case_embeddings
import case_greats
import case_joint_update_aware
import case_ica
import case_less
import case_llama
import case_loss_gates
import case_odm
import case_ops
import case_opus
import case_ppl
import case_random
import case_rds_plus
import case_regmix
import case_rho
import case_score_shrinkage
import case_static
import case_tacs
import case_train
import case_tsds
from golden import REPOSITORY


# Every case that is imported above.
MODULES = tuple(module for name, module in sorted(globals().items()) if name.startswith("case_"))


def main(modules=MODULES):
    parser = argparse.ArgumentParser(description="Write or check the golden cases")
    parser.add_argument("names", nargs="*", help="cases to handle; all when none is named")
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    parser.add_argument("--root", default=REPOSITORY, help="repository root (for writing somewhere else)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [case for module in modules for case in module.cases()]
    unknown = set(options.names) - {case.name for case in found}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    chosen = [case for case in found if not options.names or case.name in options.names]
    problems = []
    for case in chosen:
        if options.check:
            lines = case.differences(options.root)
            problems += lines
            print("\n".join(lines) if lines else f"{case.folder}: agrees")
        else:
            case.write(options.root)
            deviation = "" if case.deviation is None else f", float64 deviation {case.deviation}"
            print(f"{case.folder}: written with PyTorch {torch.__version__}{deviation}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
