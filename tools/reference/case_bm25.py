"""BM25 of a pool of texts against anchors: by rank_bm25 and bm25s, and by the equations where neither package has the variant.

Text is made up from words that a rule treats in its own way: capitals, punctuation inside and alone, accents, several spaces, tabs, newlines.
"""
import math
import random
import string

import bm25s
import numpy as np
import rank_bm25

from golden import Case

SOURCES = ["case_bm25.py"]
SEED, NUM_TEXTS, TASKS = 91, 48, ("law", "sql", "tea")
WORDS = (
    "The the a of Select FROM where court Court's tea kettle leaf judge table join left-join 3.5% été Straße "
    "naïve 日本 🙂 -- don't _x_ (maybe) e.g. end"
).split(" ")
GAPS = (" ", " ", " ", "  ", "\n", "\t", " \n")
K1, B = 1.5, 0.75
REASON = "float64 on both sides; sums in another order move a score by a few 1e-15 of its size"


def ccds_terms(text):
    cleaned = text.lower().replace("\n", " ").translate(str.maketrans("", "", string.punctuation))
    return cleaned.split(" ")


def whitespace_terms(text):
    return text.lower().split()


RULES = {"ccds": ccds_terms, "whitespace": whitespace_terms}


def make_text(draw, least, most):
    parts = []
    for _ in range(draw.randint(least, most)):
        parts += [draw.choice(WORDS), draw.choice(GAPS)]
    return "".join(parts)


def okapi(documents, queries):
    """Mean over the queries of what rank_bm25 gives."""
    model = rank_bm25.BM25Okapi(documents, k1=K1, b=B)
    return np.mean([model.get_scores(query) for query in queries], axis=0)


def lucene(documents, queries):
    """The mean over the queries, term by term; with the factor k1 + 1, which bm25s leaves out."""
    count, mean_length = len(documents), sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        total = 0.0
        for query in queries:
            for term in query:
                frequency = document.count(term)
                if frequency == 0:
                    continue
                holds = sum(term in other for other in documents)
                idf = math.log(1 + (count - holds + 0.5) / (holds + 0.5))
                room = K1 * (1 - B + B * len(document) / mean_length)
                total += idf * frequency * (K1 + 1) / (frequency + room)
        scores.append(total / len(queries))
    return np.array(scores)


def check_against_bm25s(documents, queries, scores):
    vocabulary = {term: i for i, term in enumerate(sorted({term for document in documents for term in document}))}
    model = bm25s.BM25(method="lucene", k1=K1, b=B)
    ids = [[vocabulary[term] for term in document] for document in documents]
    model.index(bm25s.tokenization.Tokenized(ids=ids, vocab=vocabulary), show_progress=False)
    total = np.zeros(len(documents))
    for query in queries:
        known = [vocabulary[term] for term in query if term in vocabulary]
        total += model.get_scores_from_ids(known) if known else 0
    difference = np.abs(total / len(queries) * (K1 + 1) - scores).max() / np.abs(scores).max()
    assert difference < 1e-6, difference  # float32 there


def anchors_as_documents(anchors, texts):
    """Roles exchanged: the set of a text's terms asks, the anchors answer; Lucene idf over the anchors."""
    count, mean_length = len(anchors), sum(map(len, anchors)) / len(anchors)
    scores = []
    for text in texts:
        total = 0.0
        for anchor in anchors:
            for term in set(text):
                frequency = anchor.count(term)
                holds = sum(term in other for other in anchors)
                room = K1 * (1 - B + B * len(anchor) / mean_length)
                total += math.log(1 + (count - holds + 0.5) / (holds + 0.5)) * frequency * (K1 + 1) / (frequency + room)
        scores.append(total / len(anchors))
    return np.array(scores)


def standardised(scores):
    return (scores - scores.mean()) / (scores.std() + 1e-8)


def check_worked_examples():
    texts = ["the cat sat", "the dog sat on the mat", "quantum physics exam", "the history exam question"]
    documents = [text.split(" ") for text in texts]
    queries = [query.split(" ") for query in ("physics exam", "history question exam")]
    assert np.allclose(okapi(documents, queries), (0, 0, 0.477351, 0.847298), atol=1e-6)
    found = lucene(documents, queries)
    assert np.allclose(found, (0, 0, 1.459305, 1.897120), atol=1e-6)
    check_against_bm25s(documents, queries, found)
    assert np.allclose(standardised(found), (-0.983408, -0.983408, 0.726855, 1.239960), atol=1e-6)


def cases():
    check_worked_examples()
    draw = random.Random(SEED)
    texts = ["", "  "] + [make_text(draw, 1, 40) for _ in range(NUM_TEXTS - 2)]
    anchors = [{"source": TASKS[i % 3 % 2 + i % 2], "text": make_text(draw, 3, 25)} for i in range(7)]
    by_task = {}
    for anchor in anchors:
        by_task.setdefault(anchor["source"], []).append(anchor["text"])
    queries = {"anchor": [anchor["text"] for anchor in anchors], "task": ["\n".join(parts) for parts in by_task.values()]}
    scores = {}
    for rule, terms in RULES.items():
        documents = [terms(text) for text in texts]
        for each, asked in queries.items():
            asked = [terms(query) for query in asked]
            found = lucene(documents, asked)
            check_against_bm25s(documents, asked, found)
            scores[f"{rule}.{each}.okapi"] = okapi(documents, asked).tolist()
            scores[f"{rule}.{each}.lucene"] = found.tolist()
            scores[f"{rule}.{each}.anchor_docs"] = anchors_as_documents(asked, documents).tolist()
    z = standardised(np.array(scores["ccds.anchor.lucene"]))
    reference = {"name": "rank_bm25", "version": "0.2.2"}
    config = {"k1": K1, "b": B}
    values = {"texts": texts, "anchors": anchors, "scores": scores}
    yield Case("adapt", "bm25", SOURCES, SEED, config, REASON, {}, values=values, tolerance=1e-12, reference=reference)
    adapted = {"texts": texts, "anchors": anchors, "z": z.tolist(), "weights": (1 / (1 + np.exp(-z))).tolist()}
    yield Case("adapt", "adapt-bm25", SOURCES, SEED, config, REASON, {}, values=adapted, tolerance=1e-12, reference=reference)
