/** U units, S samples. */
import { tensor } from '@adapt-ts/torch'
import { greedy } from '../gate/greedy.js'
import { createSoftmaxGate } from '../gate/index.js'
import type { Normalizer } from '../loss/index.js'
import { composeMethod, type Gate, type Method, NO_ARTEFACT, type Signal } from '../method/index.js'
import { compositionOf, stepFacts } from '../method/step-facts.test.fixture.js'
import { ghostAlignment } from '../signal/ghost-alignment.js'

/** Nats; some of a fresh model's tokens are below it and some above. */
export const THRESHOLD = 4

/** Every token by its own loss. */
export const tokenLossSignal: Signal = {
  needs: { tokenLosses: true },
  score: (evidence) => evidence.tokenLoss_N(),
}

/** Every sample by its mean loss. */
export const sampleLossSignal: Signal = {
  needs: { tokenLosses: true },
  score: (evidence) => evidence.sampleLoss_S(),
}

/** 1 below the threshold, else 0. */
export const thresholdGate: Gate = {
  weights: ({ score }) => {
    const weights = score.toFloat32Array().map((value) => (value < THRESHOLD ? 1 : 0))
    return tensor(weights, [weights.length], { device: score.device })
  },
}

/** 1 for the larger half of a step's scores, else 0. */
export const upperHalfGate: Gate = {
  view: 'step',
  weights: ({ score }) => {
    const values = score.toFloat32Array()
    const least = [...values].sort((a, b) => b - a)[Math.ceil(values.length / 2) - 1]!
    return tensor(
      values.map((value) => (value >= least ? 1 : 0)),
      [values.length],
      { device: score.device },
    )
  },
}

/** Methods that the program does not have (yet), by name, so that a worker can make them too. */
export const HAND_MADE = {
  'tokens under a threshold': (normalizer) =>
    composeMethod(compositionOf({ signal: tokenLossSignal, gate: thresholdGate, unit: 'token', normalizer })),
  'tokens weighed over the step': (normalizer) =>
    composeMethod(
      compositionOf({ signal: tokenLossSignal, gate: createSoftmaxGate(), unit: 'token', normalizer }),
    ),
  'half of the samples masked': (normalizer) =>
    composeMethod(
      compositionOf({ signal: sampleLossSignal, gate: upperHalfGate, apply: 'mask', normalizer }),
    ),
  greats: (normalizer) =>
    composeMethod(
      compositionOf({
        signal: ghostAlignment.create!({ validation: 2 }, stepFacts(), NO_ARTEFACT),
        gate: greedy.create({ keep: 0.7 }, stepFacts()),
        apply: 'mask',
        needs: ghostAlignment.needs({ validation: 2 }),
        interactions: true,
        normalizer,
      }),
    ),
} as const satisfies Readonly<Record<string, (normalizer: Normalizer) => Method>>
