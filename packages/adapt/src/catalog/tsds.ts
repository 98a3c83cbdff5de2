/** P samples of the pool, V anchors, D width. */
import { type Device, scope } from '@adapt-ts/torch'
import { z } from 'zod'
import { layOutPool } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { drawnPool, proportionalDraw } from '../gate/index.js'
import { defineMethod, defineSignal, option, type PreparationTools, real, whole } from '../method/index.js'
import { realNumber } from '../method/number-ranges.js'
import { flag } from '../method/option-table.js'
import {
  centerRows,
  countTokens,
  embedBatches,
  kernelDensities,
  nearestNeighbours,
  POOLING_OPTIONS,
  type PoolingOptions,
  transportProbabilities,
  type UnitVectors,
  unitVectors,
} from '../signal/index.js'

/** Numbers of all embeddings together: 2 GB. */
const MAX_NUMBERS = 2 ** 29
/** What may be embedded by default: 2N a token against 6N of training, in all a quarter of it. */
const EMBEDDED_PER_TRAINED = 0.75

/** Share of the pool that is embedded. */
function embeddedShare(scored: number | 'auto', passes: number): number {
  return scored === 'auto' ? Math.min(1, EMBEDDED_PER_TRAINED * passes) : scored
}

/** Probabilities of TSDS over the embeddings of the model before training. */
export const transport = defineSignal({
  kind: 'transport',
  about: 'probability by optimal transport to the anchors, less where samples are many of a kind (TSDS)',
  unit: 'sample',
  options: {
    ...POOLING_OPTIONS,
    center: flag(
      true,
      'Whether the mean of the pool is taken from all vectors first: states of a language model all point much the same way.',
    ),
    neighbors: whole({ min: 2, max: 1_000_000 }, 5000, 'Nearest samples of each anchor that can be reached.'),
    densityNeighbors: whole(
      { min: 1, max: 1_000_000 },
      1000,
      'Nearest samples that the density of a sample counts.',
    ),
    sigma: real({ min: 0, max: 2 }, 0.75, 'Distance up to which samples are of a kind; 0: density is 1.'),
    alpha: real({ min: 0, below: 1 }, 0.6, 'How much being near the anchors counts against being many.'),
    costScale: real({ above: 0 }, 5, 'C: the distance that being far is measured by.'),
    scored: option<number | 'auto'>(
      z.union([realNumber({ above: 0, max: 1 }), z.literal('auto')], {
        error: 'expected a number in (0, 1] or "auto"',
      }),
      'auto',
      'Share of the pool that is embedded, drawn at random, and drawn from; auto: as much as takes 25 % of the FLOPs of training.',
    ),
  },
  needs: () => ({ anchors: true }),
  cost: ({ scored }, { params, tokens, tokensPerPass, anchors, tokensPerAnchor }) => ({
    preparation:
      2 *
      params *
      (embeddedShare(scored, tokens / tokensPerPass) * tokensPerPass + anchors * tokensPerAnchor),
    signal: 0,
  }),
  async prepare({ neighbors, densityNeighbors, sigma, alpha, costScale, scored, center, ...pooling }, tools) {
    const { data } = tools
    const share = embeddedShare(scored, tools.passes)
    const candidates = [
      ...drawnPool({ numSamples: data.numSamples, seed: tools.seed, drawnShare: share }),
    ].filter((index) => data.labelCount(index) > 0)
    const { anchors, pool, device } = await embedAll(candidates, pooling, tools)
    if (candidates.length < 2) return { score_P: onlyOnes(candidates, data.numSamples) }
    if (center) centerRows(pool, [anchors])
    const found = nearestNeighbours(anchors, pool, neighbors, device)
    const reachable = [...new Set(found.place_VK)].sort((a, b) => a - b)
    const density = kernelDensities(rowsOf(pool, reachable), { sigma, count: densityNeighbors, device })
    const density_P = new Float64Array(candidates.length)
    for (const [i, place] of reachable.entries()) density_P[place] = density[i]!
    const { probability_P, lastRank_V, gathered } = transportProbabilities(found, density_P, {
      alpha,
      costScale,
    })
    const [V, D] = [lastRank_V.length, pool.width]
    tools.charge(2 * D * (V * candidates.length + (sigma === 0 ? 0 : reachable.length ** 2)))
    const score_P = new Float32Array(data.numSamples)
    for (const [place, index] of candidates.entries()) score_P[index] = probability_P[place]!
    const drawn = probability_P.filter((p) => p > 0).length
    const reached = lastRank_V.reduce((a, b) => a + b + 1, 0) / V
    return { score_P, figures: { anchors: V, scored: candidates.length, drawn, reached, gathered } }
  },
})

/** Unit vectors of some samples and the anchors, on the host. */
async function embedAll(
  candidates: readonly number[],
  pooling: PoolingOptions,
  tools: PreparationTools,
): Promise<{ readonly anchors: UnitVectors; readonly pool: UnitVectors; readonly device: Device }> {
  if (tools.anchors.flatMap(({ samples }) => samples).length === 0)
    throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
  return await tools.withModel(undefined, async (model) => {
    const { device } = model
    const width = model.config.hiddenSize
    const { numSamples } = tools.data
    if (numSamples * width > MAX_NUMBERS) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        `method: tsds keeps ${width} numbers for each sample of the pool, at most ${MAX_NUMBERS} in all; the pool has ${numSamples} samples: give it less data, or a narrower model`,
      )
    }
    const unit_VD = embedBatches(model, tools.anchors, pooling, tools)
    const anchors = { values: unit_VD.toFloat32Array(), width }
    unit_VD.dispose()
    const isCandidate = new Set(candidates)
    const values = await tools.byChunk('embedding', width, async (indexes) => {
      const rows = new Float32Array(indexes.length * width)
      const wanted = indexes.filter((index) => isCandidate.has(index))
      const layout = { dataset: tools.data, padId: 0, worldSize: 1, rank: 0 }
      for (const batch of layOutPool(wanted, layout)) {
        const unit_SD = scope(() => unitVectors(model, batch, pooling, tools).toFloat32Array())
        // Indexes of a chunk follow one another.
        for (const [s, { index }] of batch.samples.entries())
          rows.set(unit_SD.subarray(s * width, (s + 1) * width), (index - indexes[0]!) * width)
        tools.charge(2 * model.numParameters * countTokens([batch]))
        // Signals and timers get their turn.
        await new Promise(setImmediate)
      }
      return rows
    })
    return { anchors, pool: rowsOf({ values, width }, candidates), device }
  })
}

function rowsOf({ values, width }: UnitVectors, rows: readonly number[]): UnitVectors {
  const taken = new Float32Array(rows.length * width)
  for (const [i, row] of rows.entries()) taken.set(values.subarray(row * width, (row + 1) * width), i * width)
  return { values: taken, width }
}

function onlyOnes(indexes: readonly number[], numSamples: number): Float32Array {
  const ones = new Float32Array(numSamples)
  for (const index of indexes) ones[index] = 1
  return ones
}

/** TSDS, arXiv 2410.11303. */
export const tsds = defineMethod({
  id: 'tsds',
  about: 'draws samples by optimal transport to the anchors, fewer of what is there many times over (TSDS)',
  page: 'docs/methods/tsds.md',
  signal: transport,
  gate: proportionalDraw,
  apply: 'sample',
})
