/** DoReMi, arXiv 2305.10429. G sources of the data. Page: docs/methods/doremi.md. */
import { defineMethod, defineSignal } from '../method/define-method.js'
import { type Option, oneOf, option, real, usedWith } from '../method/option-table.js'
import type { Artefact, PreparationTools, ProxyMethod, ProxyRun } from '../method/preparation.js'
import { LLAMA_PRESETS } from '../model/dimensions/model-config.js'
import { excessLoss } from '../signal/excess-loss.js'
import { type GROUP_NORMS, type GroupVariant, groupDro } from './group-dro.js'
import {
  asGiven,
  equalShares,
  hasShare,
  keepOfEach,
  learntMean,
  naturalShares,
  SHARES_BY_SOURCE,
  shareFigures,
  shareScores,
  sharesBySource,
} from './source-shares.js'

/** Steps of each of the two proxies: with the reference's losses 24 % of the FLOPs of a run that reads the data once. */
const SCALED_STEPS = 0.09
/** In the source both are trained as long as the model itself. */
const PAPER_STEPS = 1

/** Of all options of the signal: those that the proxies are made with. */
interface ProxyOptions {
  readonly proxySteps: number
  readonly proxyModel: string
  readonly variant: GroupVariant
  readonly eta: number
  readonly smoothing: number
  readonly norm: (typeof GROUP_NORMS)[number]
}

/** Shares that are given need no proxies. */
const ofProxies = <V>(one: Option<V>): Option<V> =>
  usedWith('shares: {}', ({ shares }) => !isGiven(shares as Readonly<Record<string, number>>), one)

/** Shares of the sources: learnt by a proxy that trains most on what a reference shows to be learnable, or given. */
export const learntShares = defineSignal({
  kind: 'doremi',
  about: 'share of each source, learnt before training by a proxy against a reference (DoReMi), or given',
  unit: 'source',
  options: {
    shares: option(
      SHARES_BY_SOURCE,
      {},
      'Share of each source in the tokens, in any unit, where it is known: a source left out is never read; none: learnt by proxies',
    ),
    constants: ofProxies(
      oneOf(
        ['scaled', 'paper'],
        'scaled',
        'Whether the proxies fit a quarter of the FLOPs of the run, or train as long as in the source',
      ),
    ),
    proxySteps: ofProxies(
      real(
        { above: 0, max: 1 },
        ({ constants }) => (constants === 'paper' ? PAPER_STEPS : SCALED_STEPS),
        'Steps of the reference, and of the proxy, as a share of those of the run',
      ),
    ),
    proxyModel: ofProxies(
      oneOf(
        ['same', ...Object.keys(LLAMA_PRESETS)],
        'same',
        'Model of both: the one of the config at its start, or a shape that is trained from scratch',
      ),
    ),
    variant: ofProxies(groupDro.options.variant),
    eta: ofProxies(groupDro.options.eta),
    smoothing: ofProxies(groupDro.options.smoothing),
    norm: ofProxies(groupDro.options.norm),
  },
  needs: () => ({ sources: 2 }),
  check({ shares }) {
    if (!isGiven(shares) || hasShare(shares)) return []
    return [{ key: 'shares', message: 'expected a share above 0 for a source, or none to learn them' }]
  },
  trainsProxies: true,
  decidesData: () => true,
  async prepare({ shares, ...options }, tools): Promise<Artefact> {
    const { sources } = tools.data
    const share_G = isGiven(shares)
      ? sharesBySource(shares, sources, 'method.signal.shares')
      : await learnShares(options, tools)
    return { share_G, score_P: shareScores(tools.data, share_G), figures: shareFigures(sources, share_G) }
  },
  cost({ shares, proxySteps }, { params, tokens, tokensPerPass }) {
    if (isGiven(shares)) return { preparation: 0, signal: 0 }
    const proxyTokens = proxySteps * tokens
    const scored = keptShare(proxySteps, tokens / tokensPerPass) * tokensPerPass
    // 6 N of the reference, 2 N of its losses, 6 N of the proxy and 2 N where its step has several micro-batches.
    return { preparation: params * (14 * proxyTokens + 2 * scored), signal: 0 }
  },
})

function isGiven(shares: Readonly<Record<string, number>>): boolean {
  return Object.keys(shares).length > 0
}

/** Domain reweighting with minimax optimisation: shares of the sources from two small runs. */
export const doremi = defineMethod({
  id: 'doremi',
  about: 'reads the sources by shares that a proxy run learns against a reference (DoReMi, arXiv 2305.10429)',
  page: 'docs/methods/doremi.md',
  signal: learntShares,
  gate: asGiven,
  apply: 'sample',
})

/** The method of the proxy: sources weigh the more the further their loss lies above the reference's. */
export const doremiProxy = defineMethod({
  id: 'doremi-proxy',
  about: 'weighs sources by group DRO on their loss above a reference: the proxy of DoReMi',
  page: 'docs/methods/doremi-proxy.md',
  signal: excessLoss,
  gate: groupDro,
  apply: 'loss',
  normalizer: () => 'token.wmean',
})

/** Reference, its losses, proxy; each is done once and gone on with after a stop. */
async function learnShares(options: ProxyOptions, tools: PreparationTools): Promise<Float64Array> {
  const { data, seed, passes } = tools
  const model: ProxyRun['model'] = options.proxyModel === 'same' ? 'same' : { preset: options.proxyModel }
  const steps = options.proxySteps
  const reference = await tools.train({ name: 'reference', method: 'uniform', steps, model })
  const { folder } = reference.checkpoints.at(-1)!
  const kept = keepOfEach(data, keptShare(steps, passes), seed)
  const keep = (index: number): boolean => kept[index] === 1
  const tokenLoss = await tools.tokenLosses('reference', folder, keep)
  const vocabulary = await tools.withModel(folder, async ({ config }) => config.vocabSize)
  const proxy = await tools.train({
    name: 'proxy',
    method: proxyMethod(options, vocabulary),
    steps,
    model,
    keep,
    shares: equalShares(naturalShares(data)),
    artefact: { tokenLoss },
  })
  return learntMean(proxy, data.sources)
}

/** The proxy's method with the constants of the signal, on sources that are drawn alike. */
function proxyMethod({ variant, eta, smoothing, norm }: ProxyOptions, vocabulary: number): ProxyMethod {
  return {
    preset: 'doremi-proxy',
    gate: {
      ...{ variant, eta, smoothing, norm },
      ...(variant === 'paper' ? { first_excess: Math.log(vocabulary) } : {}),
    },
  }
}

/** Of the pool, as much as the proxy reads: the reference's losses are computed of these samples alone. */
function keptShare(proxySteps: number, passes: number): number {
  return Math.min(1, proxySteps * passes)
}
