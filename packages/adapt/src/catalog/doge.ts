/** DoGE, arXiv 2310.15393. G sources of the data. Page: docs/methods/doge.md. */
import { defineMethod, defineSignal } from '../method/define-method.js'
import { oneOf, real } from '../method/option-table.js'
import type { Artefact } from '../method/preparation.js'
import { LLAMA_PRESETS } from '../model/dimensions/model-config.js'
import { gradientProducts } from '../signal/index.js'
import { ALIGNMENT_OPTIONS, sourceAlignment } from './source-alignment.js'
import {
  asGiven,
  equalShares,
  learntMean,
  naturalShares,
  requireSource,
  shareFigures,
  shareScores,
} from './source-shares.js'

/** Steps of the proxy: with the gradients of its scores 24 % of the FLOPs of a run. */
const SCALED_STEPS = 0.12
/** In the source it trains as long as the model itself. */
const PAPER_STEPS = 1

/** Shares of the sources, learnt by a proxy that trains most on sources whose gradients help the targets. */
export const gradientShares = defineSignal({
  kind: 'doge',
  about: 'share of each source, learnt before training by a proxy from what gradients have in common (DoGE)',
  unit: 'source',
  options: {
    constants: oneOf(
      ['scaled', 'paper'],
      'scaled',
      'Whether the proxy fits a quarter of the FLOPs of the run, or trains as long as in the source',
    ),
    proxySteps: real(
      { above: 0, max: 1 },
      ({ constants }) => (constants === 'paper' ? PAPER_STEPS : SCALED_STEPS),
      'Steps of the proxy, as a share of those of the run',
    ),
    proxyModel: oneOf(
      ['same', ...Object.keys(LLAMA_PRESETS)],
      'same',
      'Model of the proxy: the one of the config at its start, or a shape that is trained from scratch',
    ),
    ...ALIGNMENT_OPTIONS,
  },
  needs: () => ({ sources: 2 }),
  trainsProxies: true,
  decidesData: () => true,
  async prepare({ proxySteps: steps, proxyModel, ...options }, tools): Promise<Artefact> {
    const { data } = tools
    const { targets, mu, clip, byMeanNorm, mostScore, smoothing } = options
    for (const name of targets) requireSource(name, data.sources, 'method.signal.targets')
    const proxy = await tools.train({
      name: 'proxy',
      method: {
        preset: 'doge-proxy',
        gate: { targets, mu, clip, by_mean_norm: byMeanNorm, most_score: mostScore, smoothing },
      },
      steps,
      model: proxyModel === 'same' ? 'same' : { preset: proxyModel },
      shares: equalShares(naturalShares(data)),
    })
    const share_G = learntMean(proxy, data.sources)
    return { share_G, score_P: shareScores(data, share_G), figures: shareFigures(data.sources, share_G) }
  },
  // 6 N of the scores, whose gradients are of single samples, and 6 N of the step itself.
  cost: ({ proxySteps }, { params, tokens, steps }) => ({
    preparation: (12 * params * tokens * Math.max(1, Math.round(proxySteps * steps))) / steps,
    signal: 0,
  }),
})

/** Domain reweighting with generalisation estimation: shares of the sources from one small run. */
export const doge = defineMethod({
  id: 'doge',
  about:
    'reads the sources by shares that a proxy run learns from what their gradients have in common (DoGE, arXiv 2310.15393)',
  page: 'docs/methods/doge.md',
  signal: gradientShares,
  gate: asGiven,
  apply: 'sample',
})

/** The method of the proxy: sources weigh the more the more their gradients help the targets. */
export const dogeProxy = defineMethod({
  id: 'doge-proxy',
  about: 'weighs sources by how well their gradients agree with those of the targets: the proxy of DoGE',
  page: 'docs/methods/doge-proxy.md',
  signal: gradientProducts,
  gate: sourceAlignment,
  apply: 'loss',
  normalizer: () => 'token.mean',
})
