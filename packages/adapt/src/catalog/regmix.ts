/** RegMix, arXiv 2407.01492. G sources of the data, n proxies. Page: docs/methods/regmix.md. */
import { scope } from '@adapt-ts/torch'
import { z } from 'zod'
import type { Batch } from '../batch/index.js'
import { ConfigError, DataError } from '../errors.js'
import { defineMethod, defineSignal } from '../method/define-method.js'
import { forwardFlops, trainingFlops } from '../method/flops.js'
import { lookAt } from '../method/index.js'
import { realNumber } from '../method/number-ranges.js'
import { type OptionsOf, oneOf, option, real, usedWith, whole } from '../method/option-table.js'
import type { Artefact, PreparationTools, ProxyRun } from '../method/preparation.js'
import { countParameters, LLAMA_PRESETS } from '../model/dimensions/model-config.js'
import type { CausalLM } from '../model/index.js'
import { bestMixture, drawMixtures, type MixtureSpace } from './draw-mixtures.js'
import { fitMixtures, REGRESSORS } from './mixture-regression.js'
import {
  asGiven,
  keepOfEach,
  naturalShares,
  requireSource,
  shareFigures,
  shareScores,
} from './source-shares.js'

/** Of the FLOPs of the run: what the proxies train with, and what their losses are measured with. */
const SCALED = { proxies: 32, training: 0.2, measuring: 0.04 } as const
/** 512 runs of 1B tokens beside a run of 25B. */
const PAPER = { proxies: 512, steps: 0.04, model: 'llama-1m' } as const
/** Most of the pool that is held out, and most samples. */
const HELD_OUT = { share: 0.1, samples: 4096 } as const
/** Samples of a batch whose losses are measured. */
const LOSS_BATCH = 16
/** One-sided quantile of 5 % of the normal distribution. */
const Z_95 = 1.645

const OPTIONS = {
  constants: oneOf(
    ['scaled', 'paper'],
    'scaled',
    'Whether the proxies fit a quarter of the FLOPs of the run, or are as many, as small and as long as in the source',
  ),
  proxies: whole(
    { min: 10, max: 100_000 },
    ({ constants }) => (constants === 'paper' ? PAPER.proxies : SCALED.proxies),
    'Small runs, each on a mixture of its own',
  ),
  proxySteps: real(
    { above: 0, max: 1 },
    ({ constants, proxies }) => (constants === 'paper' ? PAPER.steps : SCALED.training / (proxies as number)),
    'Steps of each, as a share of those of the run',
  ),
  proxyModel: option<string>(
    z.enum(['same', ...Object.keys(LLAMA_PRESETS)], {
      error: `expected "same" or one of ${Object.keys(LLAMA_PRESETS).join(', ')}`,
    }),
    ({ constants }) => (constants === 'paper' ? PAPER.model : 'same'),
    'Model of the proxies: the one of the config at its start, or a shape that is trained from scratch',
  ),
  target: oneOf(
    ['sources', 'source', 'anchors'],
    'sources',
    'The loss that the mixture is to lower: mean over the sources, of one source (as in the source of the method), or of the anchors',
  ),
  targetSource: usedWith(
    'target: source',
    ({ target }) => target === 'source',
    option(z.string(), '', 'Name of that source'),
  ),
  regressor: oneOf(
    REGRESSORS,
    'trees',
    'How the loss follows from the mixture: boosted trees as in the source, or least squares on the shares',
  ),
  maxEpochs: real(
    { above: 0, max: 1e6 },
    15,
    'No mixture may read a source more often than this in the whole run',
  ),
  heldOut: usedWith(
    'target: sources or source',
    ({ target }) => target !== 'anchors',
    option<number | 'auto'>(
      z.union([realNumber({ above: 0, max: 0.5 }), z.literal('auto')], {
        error: 'expected a number in (0, 0.5] or "auto"',
      }),
      'auto',
      'Share of every source that no proxy trains on and their loss is measured on; auto: as much as costs 4 % of the FLOPs of the run',
    ),
  ),
}
type RegmixOptions = OptionsOf<typeof OPTIONS>

/** Shares of the sources by a regression of the losses of small runs on their mixtures. */
export const mixtureRegression = defineSignal({
  kind: 'regmix',
  about:
    'share of each source, from a regression of the losses of many small runs on their mixtures (RegMix)',
  unit: 'source',
  options: OPTIONS,
  needs: ({ target }) => ({ sources: 2, ...(target === 'anchors' ? { anchors: true } : {}) }),
  check({ target, targetSource }) {
    if (target !== 'source' || targetSource !== '') return []
    return [
      { key: 'targetSource', message: 'expected the name of a source with target: source, received none' },
    ]
  },
  trainsProxies: true,
  decidesData: () => true,
  prepare: (options, tools) => learnMixture(options, tools),
  cost({ proxies, proxySteps, proxyModel, target, heldOut }, shape) {
    const { params, tokens, steps, tokensPerPass, samples, anchors, tokensPerAnchor } = shape
    const proxyParams =
      proxyModel === 'same'
        ? params
        : countParameters(LLAMA_PRESETS[proxyModel as keyof typeof LLAMA_PRESETS]).total
    const trained = (Math.max(1, Math.round(proxySteps * steps)) / steps) * tokens
    const share = heldOutShare(heldOut, proxies, tokens / tokensPerPass, samples)
    const measured = target === 'anchors' ? anchors * tokensPerAnchor : share * tokensPerPass
    const each = trainingFlops(proxyParams, trained) + forwardFlops(proxyParams, measured)
    return { preparation: proxies * each, signal: 0 }
  },
})

/** Share of the pool that is held out of the proxies. */
export function heldOutShare(
  heldOut: number | 'auto',
  proxies: number,
  passes: number,
  numSamples: number,
): number {
  if (heldOut !== 'auto') return heldOut
  // n forwards of 2 N a token against the 6 N of every token that the run trains.
  const affordable = (SCALED.measuring * 6 * passes) / (2 * proxies)
  return Math.min(affordable, HELD_OUT.share, HELD_OUT.samples / numSamples)
}

/** Proxies, their losses, the fit, the mixture with the lowest prediction. */
async function learnMixture(options: RegmixOptions, tools: PreparationTools): Promise<Artefact> {
  const { data, seed, passes } = tools
  const { sources } = data
  const { target, targetSource, proxies: wanted } = options
  if (target === 'source') requireSource(targetSource, sources, 'method.signal.target_source')
  const prior = naturalShares(data)
  const space: MixtureSpace = { prior, most: mostOf(prior, options.maxEpochs, passes), seed }
  const mixtures = drawMixtures(space, wanted)
  if (mixtures.length < wanted) {
    throw new DataError(
      'FEW_MIXTURES',
      `method.signal.proxies: expected ${wanted} mixtures that read no source more than max_epochs times, found ${mixtures.length}; lower proxies or raise max_epochs`,
    )
  }
  const losses = await proxyLosses(options, mixtures, tools)
  const { predict, rankCorrelation, trees } = fitMixtures(mixtures, losses, options.regressor)
  const isUseful = rankCorrelation > Z_95 / Math.sqrt(wanted - 1)
  if (!isUseful) {
    tools.warn(
      `method regmix: the fit does not order proxies that it has not seen (rank correlation ${Number.isNaN(rankCorrelation) ? 'none' : rankCorrelation.toFixed(2)}, ${wanted} proxies), so the sources keep their natural shares; raise method.signal.proxies or proxy_steps`,
    )
  }
  const share_G = isUseful ? bestMixture(space, predict) : prior
  return {
    share_G,
    score_P: shareScores(data, share_G),
    figures: {
      ...shareFigures(sources, share_G),
      proxies: wanted,
      ...(Number.isNaN(rankCorrelation) ? {} : { rankCorrelation }),
      isUseful: isUseful ? 1 : 0,
      trees,
      predictedLoss: predict(share_G),
      predictedLossNatural: predict(prior),
      lowestProxyLoss: losses.reduce((a, b) => Math.min(a, b)),
      highestProxyLoss: losses.reduce((a, b) => Math.max(a, b)),
    },
  }
}

/** Largest share of each source: `maxEpochs` times all of it over the whole run. @throws {ConfigError} OUT_OF_RANGE. */
function mostOf(prior: Float64Array, maxEpochs: number, passes: number): Float64Array {
  if (maxEpochs > passes) return prior.map((q) => Math.min(1, (maxEpochs * q) / passes))
  throw new ConfigError(
    'OUT_OF_RANGE',
    `method.signal.max_epochs: expected more than the ${passes.toPrecision(3)} times that the run reads the data, received ${maxEpochs}; there is no other mixture than the natural one`,
  )
}

/** The loss that is to be lowered, after each mixture was trained on: [n]. @throws {DataError} NO_TARGET. */
async function proxyLosses(
  options: RegmixOptions,
  mixtures: readonly Float64Array[],
  tools: PreparationTools,
): Promise<Float64Array> {
  const { data, seed, passes } = tools
  const { proxySteps: steps, proxyModel, target } = options
  const model: ProxyRun['model'] = proxyModel === 'same' ? 'same' : { preset: proxyModel }
  const share = heldOutShare(options.heldOut, mixtures.length, passes, data.numSamples)
  const heldOut = target === 'anchors' ? undefined : keepOfEach(data, share, seed)
  const indexes = [...(heldOut?.keys() ?? [])].filter((i) => heldOut![i] === 1)
  const runs = mixtures.map(
    (shares, i): ProxyRun => ({
      ...{ name: `proxy-${i + 1}`, method: 'uniform', steps, model, shares },
      ...(heldOut ? { keep: (index: number) => heldOut[index] === 0 } : {}),
    }),
  )
  const losses = await tools.measureEach('proxies', runs, (proxy) =>
    heldOut ? lossBySource(proxy, tools.samples(indexes, LOSS_BATCH), tools) : lossOfAnchors(proxy, tools),
  )
  return Float64Array.from(losses, (loss_G) => targetLoss(loss_G, options, data.sources))
}

/** What of the measured losses is predicted. */
function targetLoss(
  loss_G: Float32Array,
  { target, targetSource }: RegmixOptions,
  sources: readonly string[],
): number {
  const chosen = target === 'source' ? [loss_G[sources.indexOf(targetSource)]!] : [...loss_G]
  const known = chosen.filter((loss) => !Number.isNaN(loss))
  const loss = known.reduce((a, b) => a + b, 0) / known.length
  if (Number.isFinite(loss)) return loss
  throw new DataError(
    'NO_TARGET',
    'method.signal.target: expected held-out samples with labels, on which every proxy has a finite loss, found none; raise held_out or choose another target',
  )
}

/** Nats per label of each source over the batches, [G]; NaN for a source without labels in them. */
async function lossBySource(
  model: CausalLM,
  batches: AsyncIterable<Batch>,
  tools: PreparationTools,
): Promise<Float32Array> {
  const { data } = tools
  const nats = new Float64Array(data.sources.length)
  const labels = new Float64Array(data.sources.length)
  for await (const batch of batches) {
    const losses = sampleLosses(model, batch, tools)
    for (const [i, { index, numLabels }] of batch.samples.entries()) {
      const g = data.sourceIndex(index)
      nats[g]! += losses[i]! * numLabels
      labels[g]! += numLabels
    }
  }
  return Float32Array.from(nats, (sum, g) => (labels[g]! > 0 ? sum / labels[g]! : Number.NaN))
}

/** Mean over the anchors of each one's mean loss, [1]. */
async function lossOfAnchors(model: CausalLM, tools: PreparationTools): Promise<Float32Array> {
  const losses = tools.anchors.flatMap((batch) => {
    const loss_S = sampleLosses(model, batch, tools)
    return batch.samples.flatMap(({ numLabels }, i) => (numLabels > 0 ? [loss_S[i]!] : []))
  })
  return Float32Array.of(losses.reduce((a, b) => a + b, 0) / losses.length)
}

/** Mean nats per label of each sample of a batch. */
function sampleLosses(model: CausalLM, batch: Batch, tools: PreparationTools): Float32Array {
  const numTokens = batch.samples.reduce((sum, sample) => sum + sample.numTokens, 0)
  tools.charge(forwardFlops(model.numParameters, numTokens))
  return scope(() =>
    lookAt(model, batch, { autocastDtype: tools.autocastDtype, reference: undefined })
      .sampleLoss_S()
      .toFloat32Array(),
  )
}

/** RegMix: data mixture as regression. */
export const regmix = defineMethod({
  id: 'regmix',
  about:
    'reads the sources by the shares that a regression over many small runs predicts the lowest loss for (RegMix, arXiv 2407.01492)',
  page: 'docs/methods/regmix.md',
  signal: mixtureRegression,
  gate: asGiven,
  apply: 'sample',
})
