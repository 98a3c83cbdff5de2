"""ADO: smoothing, the error of a curve, the best curve by a long search, and the policy over three sources, written from the equations.

Losses fall along made-up curves with noise; sources are missing in some steps, and one step is not finite.
"""
import math

import numpy

from golden import Case

SOURCES = ["case_ado.py"]
SEED, STEPS, PER_STEP = 85, 70, 8
EVERY, START, IGNORE, WINDOW, STRIDE = 20, 20, 20, 5, 1
NATURAL = (0.6, 0.3, 0.0, 0.1)  # the third source has no samples
TRUE = {0: (1.0, 0.6, 0.3), 1: (1.5, 0.7, 0.5), 3: (0.5, 0.9, 0.1)}
REASON = "two searches for the best curve end at slightly different places of a flat valley; smoothing and policy are in float64"


def smooth(values, window, order=3):
    """A polynomial of its own through the window of every place; the ends share the first and the last one."""
    half = window // 2
    result = []
    for i in range(len(values)):
        start = min(max(i - half, 0), len(values) - window)
        x = numpy.arange(window) - half
        fit = numpy.polyfit(x, values[start:start + window], order)
        result.append(float(numpy.polyval(fit, i - start - half)))
    return result


def huber(x, delta=1e-3):
    return 0.5 * x * x if abs(x) <= delta else delta * (abs(x) - 0.5 * delta)


def error_of(curve, points):
    a, e, alpha = curve
    total = math.fsum(huber(math.log(math.exp(e) + math.exp(a) * n**-alpha) - math.log(loss)) for n, loss in points)
    return total + max(alpha - 0.8, 0) + max(0.001 - alpha, 0) + max(a - 6.5, 0) + max(0.5 - e, 0)


def errors_at(a, e, alpha, points):
    """The same for many curves at once."""
    n = numpy.array([p[0] for p in points])
    loss = numpy.array([p[1] for p in points])
    # A narrowing grid may wander far off: no number that overflows.
    a, e, alpha = (numpy.clip(axis, -20, 20) for axis in (a, e, alpha))
    power = numpy.exp(a[:, None] - numpy.clip(alpha, -1, 2)[:, None] * numpy.log(n)[None])
    x = numpy.abs(numpy.log(numpy.exp(e)[:, None] + power) - numpy.log(loss)[None])
    total = numpy.where(x <= 1e-3, 0.5 * x * x, 1e-3 * (x - 0.5e-3)).sum(1)
    for over in (alpha - 0.8, 0.001 - alpha, a - 6.5, 0.5 - e):
        total = total + numpy.maximum(over, 0)
    return total


def best_curve(points):
    """Narrowing grids around the best places of a wide one."""
    def grid(center, widths, count):
        axes = [numpy.linspace(c - w, c + w, count) for c, w in zip(center, widths)]
        return [axis.ravel() for axis in numpy.meshgrid(*axes, indexing="ij")]

    wide = grid((1.5, 0.9, 0.4), (4.5, 0.45, 0.4), 25)
    order = numpy.argsort(errors_at(*wide, points))[:400:50]
    best = None
    for start in order:
        center, widths = [axis[start] for axis in wide], [0.5, 0.1, 0.06]
        for _ in range(120):
            near = grid(center, widths, 9)
            found = errors_at(*near, points)
            place = int(found.argmin())
            moved = [axis[place] for axis in near]
            edge = any(abs(m - c) > 0.9 * w for m, c, w in zip(moved, center, widths))
            center = moved
            widths = [w * (1.2 if edge else 0.75) for w in widths]
        if best is None or found.min() < best[0]:
            best = (float(found.min()), [float(c) for c in center])
    return best


def make_steps():
    generator = numpy.random.default_rng(SEED)
    steps = []
    for step in range(1, STEPS + 1):
        samples = []
        for i in range(PER_STEP):
            source = int(generator.choice([0, 1, 3], p=[0.5, 0.35, 0.15]))
            if step == 1 and source == 3:
                source = 0
            a, e, alpha = TRUE[source]
            loss = math.exp(e) + math.exp(a) * (PER_STEP * step) ** -alpha + 0.01 * generator.standard_normal()
            samples.append([source, int(generator.integers(5, 30)), float(loss)])
        steps.append({"step": step, "finite": step != 33, "samples": samples})
    return steps


def run(steps):
    active = [source for source, share in enumerate(NATURAL) if share > 0]
    mu = {s: NATURAL[s] for s in active}
    share, mean, read = dict(mu), dict(mu), dict(mu)
    history, counts, curves, fits, shares = {s: [] for s in active}, [], None, [], []
    for record in steps:
        step = record["step"]
        if record["finite"]:
            own = {s: [(count, loss) for source, count, loss in record["samples"] if source == s] for s in active}
            losses = {
                s: math.fsum(c * loss for c, loss in own[s]) / sum(c for c, _ in own[s]) for s in active if own[s]
            }
            average = math.fsum(losses.values()) / len(losses)
            for s in active:
                value = losses.get(s, history[s][-1] if history[s] else average)
                history[s].append(float(numpy.float32(value)))
            counts.append((counts[-1] if counts else 0) + len(record["samples"]))
            tokens = {s: sum(c for c, _ in own[s]) for s in active}
            total = sum(tokens.values())
            read = {s: 0.9 * read[s] + 0.1 * tokens[s] / total for s in active}
            if step >= START and step % EVERY == 0 and len(counts) - IGNORE >= 10:
                places = range(IGNORE, len(counts), STRIDE)
                points = {s: [[counts[i], smooth(history[s], WINDOW)[i]] for i in places] for s in active}
                found = {s: best_curve(points[s]) for s in active}
                curves = {s: found[s][1] for s in active}
                fits.append({
                    "step": step, "points": [points[s] for s in active],
                    "errors": [found[s][0] for s in active], "curves": [curves[s] for s in active],
                })
            if curves is not None:
                n = counts[-1]
                raw = {}
                for s in active:
                    a, _, alpha = curves[s]
                    raw[s] = max(alpha, 0.05) * math.exp(a) * n**-alpha / n * mu[s] * math.sqrt(read[s])
                raised = {s: max(raw[s] / sum(raw.values()), 0.01) for s in active}
                rho = {s: raised[s] / sum(raised.values()) for s in active}
                share = {s: 0.9 * mean[s] + 0.1 * rho[s] for s in active}
                mean = {s: (1 - 1 / (step + 1)) * mean[s] + rho[s] / (step + 1) for s in active}
        shares.append([share.get(s, 0.0) for s in range(len(NATURAL))])
    return shares, fits


def check_worked_examples():
    points = [(1e3, 2.2), (1e4, 2.0), (1e5, 1.9)]
    assert abs(error_of((1.0, 0.6, 0.3), points) - 2.227889e-5) < 1e-10
    several = errors_at(*[numpy.array([x, x]) for x in (1.0, 0.6, 0.3)], points)
    assert abs(several[0] - 2.227889e-5) < 1e-10
    line = [1 + 0.2 * i - 0.03 * i * i + 0.001 * i**3 for i in range(12)]
    assert max(abs(x - y) for x, y in zip(smooth(line, 7), line)) < 1e-9


def cases():
    check_worked_examples()
    steps = make_steps()
    shares, fits = run(steps)
    config = {
        "natural": list(NATURAL), "every": EVERY, "start": START, "ignore": IGNORE, "window": WINDOW, "stride": STRIDE,
    }
    noisy = [2.0, 1.7, 1.9, 1.4, 1.5, 1.1, 1.3, 1.2, 0.9, 1.0, 1.05, 0.8]
    smoothing = {"values": noisy, "5": smooth(noisy, 5), "9": smooth(noisy, 9)}
    values = {"config": config, "steps": steps, "shares": shares, "fits": fits, "smoothing": smoothing}
    return [Case("adapt", "ado", SOURCES, SEED, config, REASON, {}, values=values, tolerance=1e-3)]
