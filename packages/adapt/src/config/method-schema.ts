import { z } from 'zod'
import { METHOD_PRESETS, NORMALIZERS, resolveMethod } from '../method/method-config.js'
import { realNumber, wholeNumber } from './number-ranges.js'

const signalSchema = z
  .strictObject({
    kind: z
      .exactOptional(z.enum(['model-embedding', 'constant']))
      .describe('What is measured: similarity of model embeddings to the anchors, or the constant 1.'),
    pooling: z
      .exactOptional(z.enum(['position_weighted', 'mean', 'last']))
      .describe('How the hidden states of a sample become one vector. Default position_weighted.'),
    tokens: z
      .exactOptional(z.enum(['all', 'response_only']))
      .describe('Tokens that are pooled. Default all: prompt and response alike.'),
    refresh_every: z
      .exactOptional(z.union([wholeNumber({ min: 1, max: 1_000_000_000 }), z.literal('epoch')]))
      .describe('Optimiser steps between two embeddings of the anchors, or "epoch". Default 50.'),
    center: z
      .exactOptional(z.boolean())
      .describe('Subtract the running mean embedding first, so that scores spread. Default false.'),
    centroid_ema: z
      .exactOptional(realNumber({ above: 0, max: 1 }))
      .describe('Share of the new centroid at a refresh: c = (1 - b) c_old + b c_new. Default 1.'),
    score_eval: z
      .exactOptional(z.boolean())
      .describe('Score by an own forward pass without dropout; costs 2N FLOPs per token. Default false.'),
  })
  .describe('Signal: what is measured for each sample.')

const gateSchema = z
  .strictObject({
    kind: z
      .exactOptional(z.enum(['identity', 'sigmoid', 'softmax', 'calibrated-sigmoid']))
      .describe('How a score becomes a weight.'),
    temperature: z
      .exactOptional(realNumber({ above: 0 }))
      .describe('sigmoid, softmax: divides the score; larger is closer to uniform. Default 1.'),
    w_min: z.exactOptional(realNumber({ min: 0 })).describe('sigmoid: smallest weight. Default 0.'),
    w_max: z.exactOptional(realNumber({ above: 0 })).describe('sigmoid: largest weight. Default 1.'),
    ess: z
      .exactOptional(realNumber({ above: 0, below: 1 }))
      .describe('calibrated-sigmoid: target effective sample size, as a share. Default 0.95.'),
    edr: z
      .exactOptional(realNumber({ above: 0, below: 1 }))
      .describe('calibrated-sigmoid: target mean weight, below ess. Default min(0.5, 0.6 * ess).'),
    update_every: z
      .exactOptional(wholeNumber({ min: 1, max: 1_000_000_000 }))
      .describe('calibrated-sigmoid: steps between two calibrations. Default 50.'),
    warmup_ratio: z
      .exactOptional(realNumber({ min: 0, max: 1 }))
      .describe('calibrated-sigmoid: share of the run before the first use, at most 200 steps. Default 0.1.'),
  })
  .describe('Gate: how a score becomes a weight.')

const methodMapping = z.strictObject({
  preset: z
    .exactOptional(z.enum(METHOD_PRESETS))
    .describe('Named composition that the other keys refine. Default adapt.'),
  signal: z.exactOptional(signalSchema),
  gate: z.exactOptional(gateSchema),
  apply: z.exactOptional(z.literal('loss')).describe('What the weight multiplies. Default loss.'),
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
