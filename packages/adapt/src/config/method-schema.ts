import { z } from 'zod'
import { METHOD_PRESETS, resolveMethod } from '../catalog/method-config.js'
import { NORMALIZERS } from '../loss/index.js'
import { realNumber, wholeNumber } from './number-ranges.js'

/** Scores and what is made of them by addition and multiplication stay far inside float32. */
const SCORE = { min: -1e6, max: 1e6 } as const

/** A number of optimiser steps. */
const steps = () => wholeNumber({ min: 1, max: 1_000_000_000 })

/** Of a signal or gate that `train` of the library is given. */
const customFields = {
  name: z
    .exactOptional(z.string().min(1))
    .describe('custom: name under which the code of the run brings it.'),
  options: z
    .exactOptional(z.record(z.string(), z.json()))
    .describe('custom: what its factory is told. Default {}.'),
}

const signalSchema = z
  .strictObject({
    kind: z
      .exactOptional(z.enum(['model-embedding', 'constant', 'random', 'source', 'custom']))
      .describe(
        'What is measured: similarity of model embeddings to the anchors; controls: the constant 1, a random number, a number per source; custom: what the code of the run brings.',
      ),
    pooling: z
      .exactOptional(z.enum(['position_weighted', 'mean', 'last']))
      .describe('How the hidden states of a sample become one vector. Default position_weighted.'),
    tokens: z
      .exactOptional(z.enum(['all', 'response_only']))
      .describe('Tokens that are pooled. Default all: prompt and response alike.'),
    refresh: z
      .exactOptional(z.enum(['interval', 'adaptive', 'rolling']))
      .describe(
        'When the anchors are embedded again: all every refresh_every steps, all when a probe has drifted, ' +
          'or a few every step. Default interval.',
      ),
    refresh_every: z
      .exactOptional(z.union([steps(), z.literal('epoch')]))
      .describe(
        'Optimiser steps between two embeddings of the anchors, or "epoch"; with refresh: rolling the steps ' +
          'of a round through all of them. Default 50.',
      ),
    probe_every: z
      .exactOptional(steps())
      .describe('refresh: adaptive: optimiser steps between two probes of 16 anchors. Default 25.'),
    drift: z
      .exactOptional(realNumber({ above: 0, max: 2 }))
      .describe("refresh: adaptive: 1 - cosine of the probe's centroid that is too much. Default 0.01."),
    refresh_min: z
      .exactOptional(steps())
      .describe('refresh: adaptive: fewest optimiser steps between two refreshes. Default 25.'),
    refresh_max: z
      .exactOptional(steps())
      .describe('refresh: adaptive: most optimiser steps between two refreshes. Default 1000.'),
    aggregate: z
      .exactOptional(z.enum(['micro', 'macro', 'max', 'lse', 'zmax']))
      .describe(
        'How the similarities to several tasks of anchors become one score: all anchors alike, mean over tasks, ' +
          'largest, soft maximum, or largest in standard deviations / 8. Default micro.',
      ),
    lse_beta: z
      .exactOptional(realNumber({ min: 1e-3, max: 1e6 }))
      .describe('aggregate: lse: sharpness b of (1/b) ln mean exp(b s). Default 10.'),
    center: z
      .exactOptional(z.boolean())
      .describe('Subtract the running mean embedding first, so that scores spread. Default false.'),
    centroid_ema: z
      .exactOptional(realNumber({ min: 1e-6, max: 1 }))
      .describe('Share of the new centroid at a refresh: c = (1 - b) c_old + b c_new. Default 1.'),
    score_eval: z
      .exactOptional(z.boolean())
      .describe('Score by an own forward pass without dropout; costs 2N FLOPs per token. Default false.'),
    table: z
      .exactOptional(z.record(z.string().min(1), realNumber(SCORE)))
      .describe('source: score by name of the source.'),
    default: z.exactOptional(realNumber(SCORE)).describe('source: score of the other sources. Default 1.'),
    ...customFields,
  })
  .describe('Signal: what is measured for each sample.')

const gateSchema = z
  .strictObject({
    kind: z
      .exactOptional(z.enum(['identity', 'linear', 'sigmoid', 'softmax', 'calibrated-sigmoid', 'custom']))
      .describe('How a score becomes a weight.'),
    offset: z.exactOptional(realNumber(SCORE)).describe('linear: weight of a score of 0. Default 1.'),
    slope: z.exactOptional(realNumber(SCORE)).describe('linear: weight per unit of the score. Default 1.'),
    temperature: z
      .exactOptional(realNumber({ min: 1e-8, max: 1e9 }))
      .describe('sigmoid, softmax: divides the score; larger is closer to uniform. Default 1.'),
    w_min: z.exactOptional(realNumber({ min: 0, max: 1e6 })).describe('sigmoid: smallest weight. Default 0.'),
    w_max: z
      .exactOptional(realNumber({ min: 1e-9, max: 1e6 }))
      .describe('sigmoid: largest weight. Default 1.'),
    ess: z
      .exactOptional(realNumber({ above: 0, below: 1 }))
      .describe('calibrated-sigmoid: target effective sample size, as a share. Default 0.95.'),
    edr: z
      .exactOptional(realNumber({ above: 0, below: 1 }))
      .describe('calibrated-sigmoid: target mean weight, below ess. Default min(0.5, 0.6 * ess).'),
    update_every: z
      .exactOptional(steps())
      .describe('calibrated-sigmoid: steps between two calibrations. Default 50.'),
    warmup_ratio: z
      .exactOptional(realNumber({ min: 0, max: 1 }))
      .describe('calibrated-sigmoid: share of the run before the first use, at most 200 steps. Default 0.1.'),
    ...customFields,
  })
  .describe('Gate: how a score becomes a weight.')

const methodMapping = z.strictObject({
  preset: z
    .exactOptional(z.enum(METHOD_PRESETS))
    .describe('Named composition that the other keys refine. Default adapt.'),
  signal: z.exactOptional(signalSchema),
  gate: z.exactOptional(gateSchema),
  apply: z.exactOptional(z.literal('loss')).describe('What the weight multiplies. Default loss.'),
  shuffle: z
    .exactOptional(z.boolean())
    .describe('Control: deal the weights of each step out anew among samples of like length. Default false.'),
  collapse: z
    .exactOptional(z.literal('source'))
    .describe('Control: give each sample the mean weight of its source.'),
  normalizer: z
    .exactOptional(z.enum(NORMALIZERS))
    .describe(
      'What the weighted loss is divided by. Default: token forms when all data is plain text, sample ' +
        'forms else; wmean, or mean for adapt-paper.',
    ),
})

/** A preset's name or a mapping; the output has every option of its signal and gate filled in. */
export const methodSchema = z
  .union([z.enum(METHOD_PRESETS).describe('A preset.'), methodMapping])
  .transform((method, context) =>
    resolveMethod(typeof method === 'string' ? { preset: method } : method, (path, message) =>
      context.addIssue({ code: 'custom', path: [...path], message }),
    ),
  )
  .describe('How the loss of each sample is weighted: a preset or a composition.')
