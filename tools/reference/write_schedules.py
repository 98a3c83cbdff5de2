#!/usr/bin/env python3
"""Writes the learning-rate schedules and rotary frequencies of transformers (needs transformers).

    python tools/reference/write_schedules.py [--check]
"""
import argparse
import sys

import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from golden import REPOSITORY, Case

SOURCES = ["write_schedules.py"]
STEPS, BASE_RATE = 20, 1e-3
COUNTS = {"num_warmup_steps": 4, "num_training_steps": STEPS}
SCHEDULES = {
    "constant": (transformers.get_constant_schedule, {}),
    "constant_with_warmup": (transformers.get_constant_schedule_with_warmup, {"num_warmup_steps": 4}),
    "linear": (transformers.get_linear_schedule_with_warmup, COUNTS),
    "linear_no_warmup": (transformers.get_linear_schedule_with_warmup, {**COUNTS, "num_warmup_steps": 0}),
    "cosine": (transformers.get_cosine_schedule_with_warmup, COUNTS),
    "cosine_no_warmup": (transformers.get_cosine_schedule_with_warmup, {**COUNTS, "num_warmup_steps": 0}),
    "cosine_with_min_lr": (transformers.get_cosine_with_min_lr_schedule_with_warmup, {**COUNTS, "min_lr_rate": 0.1}),
    "wsd": (transformers.get_wsd_schedule, {**COUNTS, "num_decay_steps": 6}),
    "wsd_linear_min": (
        transformers.get_wsd_schedule,
        {**COUNTS, "num_decay_steps": 6, "decay_type": "linear", "min_lr_ratio": 0.1},
    ),
}
ROPE = {
    "default": {"rope_type": "default", "rope_theta": 10000.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
    "llama3": {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    },
}
HEAD_SIZE = 64


def rates(create, arguments):
    """rates[n] is the rate that the (n + 1)-th optimizer step uses."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE_RATE)
    schedule = create(optimizer, **arguments)
    used = []
    for _ in range(STEPS):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return used


def frequencies(parameters):
    """The E / 2 rotary frequencies, float32."""
    config = transformers.LlamaConfig(
        hidden_size=4 * HEAD_SIZE, num_attention_heads=4, head_dim=HEAD_SIZE, max_position_embeddings=131072,
        rope_parameters=parameters,
    )
    if parameters["rope_type"] == "default":
        return 1.0 / (parameters["rope_theta"] ** (torch.arange(0, HEAD_SIZE, 2).float() / HEAD_SIZE))
    values, scaling = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, torch.device("cpu"))
    assert scaling == 1.0
    return values


def cases():
    reference = {"name": "transformers", "version": transformers.__version__}
    schedules = {
        name: {"arguments": arguments, "rates": rates(create, arguments)}
        for name, (create, arguments) in SCHEDULES.items()
    }
    yield Case(
        package="torch", name="schedules", sources=SOURCES, seed=0, config={"baseRate": BASE_RATE, "steps": STEPS},
        reason="closed formulas in float64", tolerance=1e-12, reference=reference, tensors={}, values=schedules,
    )
    rope = {
        name: {"parameters": parameters, "frequencies": frequencies(parameters).tolist()}
        for name, parameters in ROPE.items()
    }
    yield Case(
        package="torch", name="rope", sources=SOURCES, seed=0, config={"headSize": HEAD_SIZE}, tolerance=1e-6,
        reason="powers computed in float32", reference=reference, tensors={}, values=rope,
    )


def main():
    parser = argparse.ArgumentParser(description="Write or check the schedule and rope cases")
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    options = parser.parse_args()
    problems = []
    for case in cases():
        if options.check:
            problems += case.differences(REPOSITORY)
        else:
            case.write(REPOSITORY)
            print(f"{case.folder}: written with {case.reference['name']} {case.reference['version']}")
    print("\n".join(problems) if problems else "done")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
