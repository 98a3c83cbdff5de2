"""Random selection: the key of a sample from its seed and name, and the budgets of sources that are balanced.

Written with integers modulo 2**32 and a turn for each sample, apart from the program under test.
"""
from golden import Case

SOURCES = ["case_random.py"]
STREAM = 23
MASK = 2**32 - 1
REASON = "whole numbers and one division by a power of two: exact"


def mix(value):
    value &= MASK
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & MASK
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & MASK
    return value ^ (value >> 16)


def stream(seeds):
    state = 0x243F6A88
    for seed in seeds:
        state = mix(state ^ mix(seed + 0x9E3779B9))
        state = mix((state + (seed >> 32)) ^ 0x85A308D3)
    counter = 0
    while True:
        counter = (counter + 1) & MASK
        yield mix(state ^ mix(counter * 0x9E3779B9 + 0x13198A2E))


def key(seed, path, name, copy=0):
    units = (path + "\0" + name).encode("utf-16-le")
    codes = [units[i] | units[i + 1] << 8 for i in range(0, len(units), 2)]
    numbers = stream([seed, STREAM, copy] + codes)
    return (next(numbers) * 2**21 + (next(numbers) >> 11)) / 2**53


def keys(seed, names):
    seen = {}
    result = []
    for path, name in names:
        copy = seen.get((path, name), 0)
        seen[path, name] = copy + 1
        result.append(key(seed, path, name, copy))
    return result


def smallest(values, count):
    return sorted(sorted(range(len(values)), key=lambda i: (values[i], i))[:count])


def balanced(values, sources, count):
    """A turn for each source after another takes its smallest key that is left."""
    queues = [
        sorted((i for i in range(len(values)) if sources[i] == source), key=lambda i: (values[i], i))
        for source in range(max(sources) + 1)
    ]
    taken = []
    while len(taken) < count:
        for queue in queues:
            if queue and len(taken) < count:
                taken.append(queue.pop(0))
    return sorted(taken)


def cases():
    assert smallest([0.31, 0.07, 0.92, 0.55, 0.12], int(0.4 * 5)) == [1, 4]
    names = [["a.jsonl", f"a-{i}"] for i in range(5)] + [["data/é.jsonl", f"data/é.jsonl:{i}"] for i in range(30)]
    names += [["a.jsonl", "same"]] * 4 + [["b.jsonl", "same"], ["b.jsonl", "🙂#1"]]
    sources = [0] * 5 + [1] * 30 + [2] * 6
    seeds = (0, 42, 2**40 + 3)
    by_seed = {str(seed): keys(seed, names) for seed in seeds}
    values = {
        "names": names,
        "sources": sources,
        "keys": by_seed,
        "plain": {seed: smallest(found, int(0.4 * len(names))) for seed, found in by_seed.items()},
        "balanced": {seed: balanced(found, sources, int(0.6 * len(names))) for seed, found in by_seed.items()},
    }
    return [Case("adapt", "random", SOURCES, 0, {"plain": 0.4, "balanced": 0.6}, REASON, {}, values=values, tolerance=1e-15)]
