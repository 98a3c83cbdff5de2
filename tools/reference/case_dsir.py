"""DSIR on text of our own: hashed n-grams counted one by one, log importance weights, noise, and quotas of separate targets.

A word is a run of characters of the Unicode categories below. Words are joined and hashed with hashlib; nothing is remembered.
"""
import hashlib
import math
import random
import unicodedata

from case_random import stream
from golden import Case

SOURCES = ["case_dsir.py", "case_random.py"]
SEED, NUM_TEXTS, TASKS = 95, 60, ("law", "sql", "tea")
NOISE_STREAM, MIN_LENGTH = 37, 12
WORDS = (
    "The the a of SELECT from WHERE court Court's tea kettle leaf judge table left-join 3.5% été e\u0301te\u0301 Straße naïve 日本語 🙂🙂 "
    "don't _x_ (maybe) e.g. x² ½ \ufeffbom Ⅷ ١٢ a\u200db 𝒳𝒴 !? ... İ"
).split(" ")
GAPS = (" ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "\u2028", "\u0085")
SPACES = set(" \t\n\r\v\f\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000") | {chr(0x2000 + i) for i in range(11)}
REASON = "float64 on both sides; sums in another order move a log weight by a few 1e-16 of its size"


def kind(character):
    if character in SPACES:
        return "space"
    category = unicodedata.category(character)
    is_word = category[0] in "LM" or category in ("Nd", "Nl", "Pc") or character in "\u200c\u200d"
    return "word" if is_word else "mark"


def tokens_of(text):
    found, last = [], "space"
    for character in text.lower():
        now = kind(character)
        if now != "space":
            if now == last:
                found[-1] += character
            else:
                found.append(character)
        last = now
    return found


def buckets_of(tokens, ngrams, buckets):
    return [
        int(hashlib.sha256(" ".join(tokens[i:i + n]).encode()).hexdigest(), 16) % buckets
        for n in range(1, ngrams + 1)
        for i in range(len(tokens) - n + 1)
    ]


def counts_of(texts, ngrams, buckets):
    counts = [0] * buckets
    for text in texts:
        for bucket in buckets_of(tokens_of(text), ngrams, buckets):
            counts[bucket] += 1
    return counts


def log_ratios(target, raw, laplace=0):
    smoothed = [count + laplace for count in target]
    of_target, of_raw = sum(smoothed), sum(raw)
    return [math.log(t / of_target + 1e-8) - math.log(r / of_raw + 1e-8) for t, r in zip(smoothed, raw)]


def log_weights(texts, target, ngrams, buckets, laplace):
    ratios = log_ratios(counts_of(target, ngrams, buckets), counts_of(texts, ngrams, buckets), laplace)
    return [math.fsum(ratios[bucket] for bucket in buckets_of(tokens_of(text), ngrams, buckets)) for text in texts]


def gumbel(seed, path, name):
    units = (path + "\0" + name).encode("utf-16-le")
    numbers = stream([seed, NOISE_STREAM, 0] + [units[i] | units[i + 1] << 8 for i in range(0, len(units), 2)])
    return -math.log(-math.log((next(numbers) * 2**21 + (next(numbers) >> 11)) / 2**53))


def by_quota(columns, shares, long):
    """The target furthest behind its share takes its best sample that is left."""
    order, taken = [], [0] * len(shares)
    while len(order) < len(long):
        behind = [share / sum(shares) * (len(order) + 1) - count for share, count in zip(shares, taken)]
        target = behind.index(max(behind))
        left = [i for i in range(len(long)) if i not in order]
        order.append(max(left, key=lambda i: (columns[target][i] if long[i] else -math.inf, -i)))
        taken[target] += 1
    return [i for i in order if long[i]]


def check_worked_examples():
    assert buckets_of(["alice", "went", "to", "the", "store"], 2, 10000)[:1] == [6720]
    hashed = {gram: buckets_of(gram.split(" "), 9, 10000)[-1] for gram in ("alice went", "the", "the store")}
    assert hashed == {"alice went": 114, "the": 8288, "the store": 3440}, hashed
    ratios = log_ratios([10, 10, 40, 40], [40, 30, 20, 10])
    assert all(abs(a - b) < 1e-5 for a, b in zip(ratios, (-1.386294, -1.098612, 0.693147, 1.386294))), ratios


def make_text(draw, least, most):
    return "".join(draw.choice(WORDS) + draw.choice(GAPS) for _ in range(draw.randint(least, most)))


def cases():
    check_worked_examples()
    draw = random.Random(SEED)
    texts = ["", " \n"] + [make_text(draw, 1, 40) for _ in range(NUM_TEXTS - 2)]
    anchors = [{"source": TASKS[i % 3], "text": make_text(draw, 3, 25)} for i in range(8)]
    target = [anchor["text"] for anchor in anchors]
    variants = {
        f"{ngrams}.{buckets}.{laplace}": log_weights(texts, target, ngrams, buckets, laplace)
        for ngrams, buckets, laplace in ((2, 10000, 0), (1, 10000, 0.5), (3, 257, 0), (2, 2**18, 1))
    }
    by_task = {task: [anchor["text"] for anchor in anchors if anchor["source"] == task] for task in TASKS}
    columns = [log_weights(texts, own, 2, 10000, 1) for own in by_task.values()]
    lengths = [len(tokens_of(text)) for text in texts]
    long = [length >= MIN_LENGTH for length in lengths]
    shares = [sum(len(tokens_of(text)) for text in own) for own in by_task.values()]
    values = {
        "texts": texts,
        "anchors": anchors,
        "lengths": lengths,
        "buckets": [sorted(buckets_of(tokens_of(text), 2, 10000)) for text in texts],
        "logWeights": variants,
        "gumbel": [gumbel(SEED, "p", f"s{i}") for i in range(NUM_TEXTS)],
        "minLength": MIN_LENGTH,
        "order": {"tokens": by_quota(columns, shares, long), "given": by_quota(columns, [3, 0, 1], long)},
    }
    return [Case("adapt", "dsir", SOURCES, SEED, {"laplaceOfTasks": 1}, REASON, {}, values=values, tolerance=1e-12)]
