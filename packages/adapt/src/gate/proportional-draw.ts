/** P samples of the pool. */
import { full } from '@adapt-ts/torch'
import type { Gate } from '../method/contract.js'
import { defineGate } from '../method/define-method.js'
import { EventList } from '../method/event-list.js'
import { flag } from '../method/option-table.js'
import { requireData } from '../method/require-data.js'
import { KeptNumbers } from '../signal/index.js'

/**
 * Draws samples with probabilities in proportion to their scores, from the first step on; below 0 and without labels: never. Equal scores, also
 * if they are 0, draw all alike.
 */
export const proportionalDraw = defineGate({
  kind: 'proportional-draw',
  about: 'draws samples in proportion to their scores, taken once before the first step',
  units: ['sample'],
  applies: ['sample'],
  draws: 'samples',
  view: 'batch',
  options: {
    replacement: flag(
      true,
      'Whether a sample may come again before all others with a score above 0 have come.',
    ),
  },
  poolPasses: () => 1,
  create({ replacement }, facts): Gate {
    const { numSamples } = requireData(facts, 'proportional-draw')
    const kept = new KeptNumbers('weight')
    let weight_P: Float32Array | undefined
    const events = new EventList()
    return {
      weights: ({ score }) => full([score.shape[0]!], 1, { device: score.device }),
      wants: () =>
        weight_P === undefined ? Uint32Array.from({ length: numSamples }, (_, i) => i) : undefined,
      observePool({ index, score, labels }, { step }) {
        const positive = Float64Array.from(score, (s, i) => (labels[i]! > 0 && s > 0 && s < Infinity ? s : 0))
        // Equal scores tell nothing apart.
        if (score.every((s) => s === score[0]))
          for (const i of labels.keys()) positive[i] = labels[i]! > 0 ? 1 : 0
        const mean = positive.reduce((a, b) => a + b, 0) / numSamples
        const drawn_P = new Float32Array(numSamples)
        for (const [i, sample] of Array.from(index).entries()) drawn_P[sample] = positive[i]! / (mean || 1)
        weight_P = drawn_P
        kept.keep(drawn_P)
        const drawn = positive.filter((s) => s > 0).length
        events.add({ kind: 'draw', step, fields: { draw: 0, scored: index.length, drawn } })
      },
      draw: () => (weight_P === undefined ? undefined : { number: 0, weight_P, replacement }),
      takeEvents: events.take,
      state: () => ({ json: {}, tensors: kept.tensors }),
      load({ tensors }) {
        weight_P = kept.load(tensors)
      },
      dispose: () => kept[Symbol.dispose](),
    }
  },
})
