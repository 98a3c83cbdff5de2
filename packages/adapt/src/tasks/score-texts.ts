/** N positions of a pass, C of them before a target, V vocabulary, T targets of a text. */
import {
  argmax,
  autocast,
  cat,
  type DType,
  indexSelect,
  logSoftmax,
  narrow,
  noGrad,
  reshape,
  scope,
  type Tensor,
  tensor,
  toDType,
} from '@adapt-ts/torch'
import { AdaptError, EXIT, NumericError } from '../errors.js'
import { defaultChunkSize } from '../loss/index.js'
import { type CausalLM, cachePrefix, embedTree, type KeyValueCache } from '../model/index.js'
import { ALONE, inRounds, type Ranks } from '../ranks.js'
import { planTrees, type ScoredText, type TreePass } from './plan-trees.js'

/** How likely the targets of a text are. */
export interface LogLikelihood {
  /** Sum over the targets of ln p(target | what is before it). */
  readonly logLikelihood: number
  /** Whether every target is the most likely token in its place. */
  readonly isGreedy: boolean
}

export interface ScoreTextsOptions {
  readonly autocastDtype?: DType | undefined
  /** Positions of a pass; the result does not depend on it. */
  readonly maxPositions: number
  /** Asked between passes; true ends the scoring. */
  readonly isCancelled?: () => boolean
  /** Those that score the same texts under the same model, each its part. All get all of it. Default: none. */
  readonly ranks?: Ranks
  /** Called after every pass, with what was found of which texts. */
  readonly onScored?: (found: ReadonlyMap<number, LogLikelihood>) => void
}

/**
 * Scores the last tokens of texts; what texts begin with in common is computed once, and logits are made where a target follows.
 * @returns In the order of the texts.
 * @throws {AdaptError} EVALUATION_CANCELLED (exit 75). @throws {NumericError} NOT_FINITE for a model that gives no numbers.
 */
export async function scoreTexts(
  model: CausalLM,
  texts: readonly ScoredText[],
  options: ScoreTextsOptions,
): Promise<LogLikelihood[]> {
  const { ranks = ALONE, autocastDtype } = options
  const found: LogLikelihood[] = new Array(texts.length)
  const passes = planTrees(texts, options.maxPositions)
  const perRank = ranks.worldSize === 1 ? 1 : PASSES_OF_RANK
  using scorer = new Scorer(model, texts, autocastDtype)
  await inRounds(ranks, {
    numRounds: Math.ceil(passes.length / (perRank * ranks.worldSize)),
    async work(round) {
      const first = (round * ranks.worldSize + ranks.rank) * perRank
      return await scorer.score(passes.slice(first, first + perRank))
    },
    tell(parts) {
      const scored = new Map(parts.flat())
      for (const [text, value] of scored) found[text] = value
      options.onScored?.(scored)
    },
    stopped: () => (options.isCancelled?.() === true ? evaluationStopped() : undefined),
  })
  return found
}

/** Neighbouring passes that a rank makes between two meetings: they may have what is kept in common. */
const PASSES_OF_RANK = 8

/** Makes passes, and keeps the keys and values that neighbours begin with. */
class Scorer implements Disposable {
  private kept: { readonly tokens: Int32Array; readonly cache: KeyValueCache } | undefined

  constructor(
    private readonly model: CausalLM,
    private readonly texts: readonly ScoredText[],
    private readonly autocastDtype: DType | undefined,
  ) {}

  async score(passes: readonly TreePass[]): Promise<(readonly [number, LogLikelihood])[]> {
    const { model, texts, autocastDtype } = this
    const found: (readonly [number, LogLikelihood])[] = []
    for (const pass of passes) {
      found.push(...scorePass(model, pass, texts, this.keep(pass.prefix), autocastDtype))
      // Signals and timers get their turn.
      await new Promise(setImmediate)
    }
    return found
  }

  private keep(prefix: Int32Array): KeyValueCache | undefined {
    if (this.kept !== undefined && isSame(this.kept.tokens, prefix)) return this.kept.cache
    this[Symbol.dispose]()
    if (prefix.length === 0) return undefined
    this.kept = { tokens: prefix, cache: cachePrefix(this.model, prefix, this.autocastDtype) }
    return this.kept.cache
  }

  [Symbol.dispose](): void {
    this.kept?.cache.dispose()
    this.kept = undefined
  }
}

/** Exit 75: what was answered is kept where there is a folder for it. */
export function evaluationStopped(): AdaptError {
  return new AdaptError(
    'EVALUATION_CANCELLED',
    EXIT.resumable,
    'the evaluation was stopped; the same command goes on from what --output holds',
  )
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((token, i) => token === b[i])
}

function scorePass(
  model: CausalLM,
  pass: TreePass,
  texts: readonly ScoredText[],
  before: KeyValueCache | undefined,
  autocastDtype: DType | undefined,
): Map<number, LogLikelihood> {
  // A position before the targets of several texts has one row of logits.
  const rowOf = new Map<number, number>()
  const row_T = pass.texts.map(({ place_T }) =>
    Int32Array.from(place_T, (place) => {
      const row = rowOf.get(place) ?? rowOf.size
      rowOf.set(place, row)
      return row
    }),
  )
  const targets = pass.texts.flatMap(({ text }, i) =>
    Array.from(row_T[i]!, (row, t) => ({ row, token: texts[text]!.targets[t]! })),
  )
  const { logProb, best } = scope(() => {
    const hidden_ND = embedTree(model, pass.tree, { autocastDtype, before })
    const place_C = Int32Array.from(rowOf.keys())
    const index = tensor(place_C, [place_C.length], { dtype: 'int64', device: model.device })
    return readTargets(model, indexSelect(hidden_ND, 0, index), targets, autocastDtype)
  })
  let next = 0
  return new Map(
    pass.texts.map(({ text, place_T }) => {
      let logLikelihood = 0
      let isGreedy = true
      for (let t = 0; t < place_T.length; t++, next++) {
        logLikelihood += logProb[next]!
        isGreedy &&= best[targets[next]!.row] === targets[next]!.token
      }
      if (!Number.isFinite(logLikelihood)) {
        throw new NumericError('NOT_FINITE', 'the model gives no finite logits; are its weights finite?')
      }
      return [text, { logLikelihood, isGreedy }]
    }),
  )
}

/** ln p of each target, and the most likely token of each row. */
function readTargets(
  model: CausalLM,
  hidden_CD: Tensor,
  targets: readonly { readonly row: number; readonly token: number }[],
  autocastDtype: DType | undefined,
): { readonly logProb: Float32Array; readonly best: Int32Array } {
  const numRows = hidden_CD.shape[0]!
  const size = defaultChunkSize(model.device, model.config.vocabSize)
  const logProb = new Float32Array(targets.length)
  const best = new Int32Array(numRows)
  for (let start = 0; start < numRows; start += size) {
    const count = Math.min(size, numRows - start)
    const own = [...targets.keys()].filter((n) => targets[n]!.row >= start && targets[n]!.row < start + count)
    const values = noGrad(() =>
      scope(() => {
        const logits_CV = autocast(model.device, autocastDtype, () =>
          model.forward(narrow(hidden_CD, 0, start, count)),
        )
        const logProb_CV = logSoftmax(logits_CV, -1, 'float32')
        const [, V] = logProb_CV.shape as [number, number]
        const flat = Float64Array.from(own, (n) => (targets[n]!.row - start) * V + targets[n]!.token)
        const index = tensor(flat, [own.length], { dtype: 'int64', device: model.device })
        const picked = indexSelect(reshape(logProb_CV, [count * V]), 0, index)
        return cat([picked, toDType(argmax(logProb_CV, 1), 'float32')]).toFloat32Array()
      }),
    )
    for (const [i, n] of own.entries()) logProb[n] = values[i]!
    for (let c = 0; c < count; c++) best[start + c] = values[own.length + c]!
  }
  return { logProb, best }
}
