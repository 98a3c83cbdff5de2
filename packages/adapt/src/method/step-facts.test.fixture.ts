import { distributed, scope, tensor } from '@adapt-ts/torch'
import type { Composition } from './composition.js'
import type { Gate, Scores, StepFacts, StepOutcome } from './contract.js'
import { NO_ARTEFACT } from './preparation.js'
import { scoresOf } from './step-scores.js'

/** Facts of a run and a step of one process, without a model, data or anchors. */
export function stepFacts(known: Partial<StepFacts> = {}): StepFacts {
  return {
    totalSteps: 10,
    stepsPerEpoch: 5,
    seed: 5,
    isPlainText: true,
    collective: distributed.singleProcess,
    device: 'cpu',
    step: 0,
    learningRate: 0.01,
    anchors: [],
    look: () => {
      throw new Error('look: this test has no model')
    },
    charge: () => 0,
    ...known,
  }
}

/** Scores of samples with one label each; without indexes those are 0, 1, 2, ... Belong to the current scope. */
export function scoresFor(
  scores: ArrayLike<number>,
  index: readonly number[] = Array.from(scores, (_, i) => i),
  facts: StepFacts = stepFacts(),
): Scores {
  const labels = new Float64Array(scores.length).fill(1)
  return scoresOf(tensor(Float32Array.from(scores), [scores.length]), index, labels, facts)
}

/** Weights of a gate as plain numbers. */
export function weigh(
  gate: Gate,
  scores: ArrayLike<number>,
  options: { readonly index?: readonly number[]; readonly facts?: StepFacts } = {},
): number[] {
  const { index, facts = stepFacts() } = options
  return scope(() => [...gate.weights(scoresFor(scores, index, facts), facts).toFloat32Array()])
}

/** What a step was whose samples have these scores, one label each, and weights of 1. */
export function outcomeOf(scores: ArrayLike<number>, step: number, wasFinite = true): StepOutcome {
  const ones = new Float64Array(scores.length).fill(1)
  const samples = {
    index: Float64Array.from(scores, (_, i) => i),
    labels: ones,
    score: Float64Array.from(scores),
    weight: ones,
    loss: ones,
  }
  return { step, wasFinite, samples }
}

/** The fields of the only event of this kind that a part has to say; undefined without one. */
export function eventOf(
  part: Pick<Gate, 'takeEvents'>,
  kind: string,
): Readonly<Record<string, unknown>> | undefined {
  const events = (part.takeEvents?.() ?? []).filter((event) => event.kind === kind)
  if (events.length > 1) throw new Error(`expected one event ${kind}, received ${events.length}`)
  return events[0]?.fields
}

/** A composition of hand-made parts. Default: one weight a sample, from its score alone, which scales the loss. */
export function compositionOf(
  parts: Pick<Composition, 'signal' | 'gate'> & Partial<Composition>,
): Composition {
  return {
    id: 'hand-made',
    unit: 'sample',
    view: parts.gate.view ?? 'batch',
    interactions: false,
    needs: parts.signal.needs ?? {},
    apply: 'loss',
    normalizer: 'token.wmean',
    firstScored: 0,
    candidates: 1,
    isStored: false,
    artefact: NO_ARTEFACT,
    facts: stepFacts(),
    ...parts,
  }
}
