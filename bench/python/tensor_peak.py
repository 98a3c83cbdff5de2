"""The exact peak of live tensor bytes on the CPU, from the profiler's record of every allocation.

PyTorch keeps no such counter for the CPU. While memory profiling is on, its CPU allocator reports each
allocation and release with the running total of bytes allocated since profiling began; the largest total is the
peak. Memory allocated before is not counted, so profile from the construction of the model on.

    python bench/python/tensor_peak.py      checks the measurement on allocations of known size
"""
import torch
from torch.profiler import ProfilerActivity, profile


def measure_peak(function):
    """(result of `function`, peak bytes of tensors allocated during the call)."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = function()
    pending = list(record.profiler.kineto_results.experimental_event_tree())
    events = []
    while pending:
        event = pending.pop()
        pending.extend(event.children)
        if hasattr(event.extra_fields, "alloc_size"):
            events.append((event.start_time_ns, event.extra_fields))
    events.sort(key=lambda item: item[0])
    if not events:
        return result, 0
    first = events[0][1]
    before = first.total_allocated - first.alloc_size
    peak = max(fields.total_allocated for _, fields in events) - before
    ends = events[-1][1].total_allocated - before
    total = sum(fields.alloc_size for _, fields in events)
    if total != ends:
        raise RuntimeError(f"the profiler lost allocations: sizes sum to {total} bytes, the allocator says {ends}")
    return result, peak


def check():
    """Allocates and frees tensors of known size, plain and through autograd."""
    def plain():
        kept = torch.ones(1000)  # 4,000 bytes stay
        first = torch.ones(10_000)
        second = torch.ones(10_000)  # 84,000 live: the peak
        del first
        third = torch.ones(5_000)
        del second, third
        return kept

    def autograd():
        x = torch.ones(1000, requires_grad=True)  # 4,000
        y = torch.exp(x)  # 4,000, kept by the graph
        z = torch.exp(y)  # 4,000, kept by the graph
        z.backward(torch.ones(1000))  # 4,000 for the seed, 4,000 for z's gradient, 4,000 for x's
        return x

    for function, expected in ((plain, 84_000), (autograd, 24_000)):
        _, peak = measure_peak(function)
        if peak != expected:
            raise RuntimeError(f"{function.__name__}: measured {peak} bytes, expected {expected}")
    print("tensor_peak: agrees with allocations of known size")


if __name__ == "__main__":
    check()
