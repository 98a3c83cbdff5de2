/** S samples of a step. */
import { scope, tensor } from '@adapt-ts/torch'
import type { Gate } from '../gate/index.js'
import type { LedgerSteps, StepRows } from '../record/index.js'
import { Reservoir } from '../signal/index.js'

const RESERVOIR_ROWS = new Reservoir().capacity

/**
 * Feeds recorded scores to a gate in the order of the trainer: weights of a step, then what it observed, and new
 * scores of recent samples where the signal was refreshed.
 */
export class GateReplay {
  readonly #gate: Gate

  constructor(gate: Gate) {
    this.#gate = gate
  }

  /** Weights of a step's rows under the gate as it is now, float32 [S]. Rows without labels may get any weight. */
  weigh(rows: StepRows): Float32Array {
    const { part, begin, end } = rows
    if (this.#gate.needs === 'none') return this.#weigh(part.score.subarray(begin, end))
    // A gate over the whole step sees samples with labels only; the others get 0.
    const weights = new Float32Array(end - begin)
    const labelled = labelledRows(rows)
    const found = this.#weigh(Float32Array.from(labelled, (row) => part.score[row]!))
    for (const [i, row] of labelled.entries()) weights[row - begin] = found[i]!
    return weights
  }

  /** After the step. */
  observe(rows: StepRows): void {
    if (this.#gate.observe === undefined) return
    const { score } = rows.part
    this.#gate.observe(
      Float64Array.from(labelledRows(rows), (row) => score[row]!),
      rows.step,
    )
  }

  /**
   * A refresh of the signal between two steps. The scores that the remembered samples got from it are not in the
   * ledger; in their place stand those of the samples that came next, as many as the reservoir held.
   *
   * @param numSeen  Rows before the refresh.
   * @param until  Last step before the following refresh.
   */
  async refresh(ahead: LedgerSteps, numSeen: number, until: number): Promise<void> {
    const wanted = Math.min(RESERVOIR_ROWS, numSeen)
    if (this.#gate.rescore === undefined || wanted === 0) return
    const scores: number[] = []
    for (let i = 0; scores.length < wanted; i++) {
      const rows = await ahead.peek(i)
      if (rows === undefined || rows.step > until) break
      for (let row = rows.begin; row < rows.end; row++) scores.push(rows.part.score[row]!)
    }
    if (scores.length === 0) return
    this.#gate.rescore(Float64Array.from({ length: wanted }, (_, i) => scores[i % scores.length]!))
  }

  #weigh(score_S: Float32Array): Float32Array {
    if (score_S.length === 0) return new Float32Array()
    return scope(() => this.#gate.weights(tensor(score_S, [score_S.length])).toFloat32Array())
  }
}

function labelledRows({ part, begin, end }: StepRows): number[] {
  const rows: number[] = []
  for (let row = begin; row < end; row++) if (part.tokens[row]! > 0) rows.push(row)
  return rows
}
