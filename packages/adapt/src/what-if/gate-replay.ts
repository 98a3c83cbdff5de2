/** S samples of a step. */
import { distributed, scope, tensor } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import { type Gate, type RunFacts, type StepFacts, scoresOf } from '../method/index.js'
import type { LedgerSteps, StepRows } from '../record/index.js'
import { Reservoir } from '../signal/index.js'

const RESERVOIR_ROWS = new Reservoir().capacity

/**
 * Feeds recorded scores to a gate in the order of the trainer: weights of a step, then what it observed, and new
 * scores of recent samples where the signal was refreshed.
 */
export class GateReplay {
  readonly #gate: Gate
  readonly #facts: RunFacts
  readonly #view: 'batch' | 'step'

  /** @param view  What the gate's definition says that it sees; a gate by code may say otherwise. */
  constructor(gate: Gate, facts: RunFacts, view: 'batch' | 'step') {
    this.#gate = gate
    this.#facts = facts
    this.#view = gate.view ?? view
  }

  /** Weights of a step's rows under the gate as it is now, float32 [S]. Rows without labels may get any weight. */
  weigh(rows: StepRows): Float32Array {
    const { begin, end } = rows
    if (this.#view !== 'step') return this.#weigh(rows, rangeOf(begin, end))
    // A gate over the whole step sees samples with labels only; the others get 0.
    const weights = new Float32Array(end - begin)
    const labelled = labelledRows(rows)
    const found = this.#weigh(rows, labelled)
    for (const [i, row] of labelled.entries()) weights[row - begin] = found[i]!
    return weights
  }

  /** After the step. */
  observe(rows: StepRows): void {
    const { part, step } = rows
    const labelled = labelledRows(rows)
    const column = (values: ArrayLike<number>) => Float64Array.from(labelled, (row) => values[row]!)
    const samples = {
      index: column(part.sample),
      labels: column(part.tokens),
      score: column(part.score),
      weight: column(part.weight),
      loss: column(part.loss),
    }
    this.#gate.observe?.({ step, wasFinite: true, samples }, this.#factsAt(step - 1))
  }

  /**
   * A refresh of the signal between two steps. The scores that the remembered samples got from it are not in the
   * ledger; in their place stand those of the samples that came next, as many as the reservoir held.
   *
   * @param step  Steps before the refresh.
   * @param numSeen  Rows before it.
   * @param until  Last step before the following refresh.
   */
  async refresh(ahead: LedgerSteps, step: number, numSeen: number, until: number): Promise<void> {
    const wanted = Math.min(RESERVOIR_ROWS, numSeen)
    if (this.#gate.rescore === undefined || wanted === 0) return
    const scores: number[] = []
    for (let i = 0; scores.length < wanted; i++) {
      const rows = await ahead.peek(i)
      if (rows === undefined || rows.step > until) break
      for (let row = rows.begin; row < rows.end; row++) scores.push(rows.part.score[row]!)
    }
    if (scores.length === 0) return
    this.#gate.rescore(
      Float64Array.from({ length: wanted }, (_, i) => scores[i % scores.length]!),
      step + 1,
    )
  }

  #weigh({ part, step }: StepRows, rows: readonly number[]): Float32Array {
    if (rows.length === 0) return new Float32Array()
    const facts = this.#factsAt(step - 1)
    return scope(() => {
      const score = tensor(
        Float32Array.from(rows, (row) => part.score[row]!),
        [rows.length],
      )
      const index = rows.map((row) => part.sample[row]!)
      const labels = Float64Array.from(rows, (row) => part.tokens[row]!)
      return this.#gate.weights(scoresOf(score, index, labels, facts), facts).toFloat32Array()
    })
  }

  /** There is no model any more: a gate that asks for it cannot be replayed. */
  #factsAt(step: number): StepFacts {
    const missing = () => {
      throw new ConfigError(
        'NOT_DERIVABLE',
        'what-if: this gate looks at the model, which a ledger does not hold',
      )
    }
    return {
      ...this.#facts,
      step,
      collective: distributed.singleProcess,
      device: 'cpu',
      learningRate: Number.NaN,
      anchors: [],
      look: missing,
      charge: missing,
    }
  }
}

const rangeOf = (begin: number, end: number): number[] =>
  Array.from({ length: end - begin }, (_, i) => begin + i)

function labelledRows({ part, begin, end }: StepRows): number[] {
  const rows: number[] = []
  for (let row = begin; row < end; row++) if (part.tokens[row]! > 0) rows.push(row)
  return rows
}
