/** P samples of the pool. */
import { z } from 'zod'
import { createPermutation } from '../batch/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import type { Needs } from '../method/contract.js'
import { type Option, type OptionsOf, option, real, usedWith } from '../method/option-table.js'
import type { Artefact, PreparationTools } from '../method/preparation.js'

/** In the place of a folder: a reference is trained here. */
const TRAIN = 'train'
/** The same, of the model of the config at its start. */
const BASE = 'base'
/** Apart from the permutations that the order of training and the validation split are made of. */
const HOLDOUT_STREAM = 2 ** 35

/** A reference that is given has been trained already. */
const ofTrained = <V>(one: Option<V>): Option<V> =>
  usedWith(`reference: ${TRAIN}`, ({ reference }) => reference === TRAIN, one)

/** Options of the reference; `holdout` is what a reference that is trained here keeps for itself by default. */
export const referenceOptions = (holdout: number) => ({
  reference: option(
    z.string().min(1),
    TRAIN,
    'Folder of a model with the same tokenizer, whose losses are the reference; train: it is trained here, from the model of the config; base: that model as it is before training',
  ),
  curated: ofTrained(
    option(
      z.array(z.string().min(1)),
      [] as string[],
      'With reference: train: the sources it is trained on; none: all of them',
    ),
  ),
  holdout: ofTrained(
    real(
      { min: 0, below: 1 },
      ({ reference }) => (reference === TRAIN ? holdout : 0),
      'With reference: train: share of the documents that it alone is trained on; the run leaves them out. 0: it is trained on what the run is trained on',
    ),
  ),
  referenceSteps: ofTrained(
    real(
      { above: 0, max: 1 },
      REFERENCE_STEPS,
      'With reference: train: its optimiser steps as a share of those of the run',
    ),
  ),
})

/** 3 epochs of 1.9 G curated tokens against 80 G (7 %), and 3 of 0.5 G against 15 G (10 %), in Rho-1. */
const REFERENCE_STEPS = 0.1

type ReferenceOptions = OptionsOf<ReturnType<typeof referenceOptions>>

/** What a signal over a reference has in its definition: two of them share what they prepare. */
export const OVER_REFERENCE = {
  trainsProxies: true,
  preparedAs: 'reference-losses',
  scoreOptions: ['divide', 'floor'],
  readsModels: ({ reference }: { readonly reference: string }): Readonly<Record<string, string>> =>
    reference === TRAIN || reference === BASE ? {} : { reference },
  decidesData: ({ holdout }: { readonly holdout: number }) => holdout > 0,
  needs: (): Needs => ({ tokenLosses: true, reference: true }),
} as const

/**
 * Token losses of the pool under the reference, which is trained first unless it is given. What does not depend on the method that asks has
 * names of its own, so that two methods with the same options share it.
 *
 * @throws {ConfigError} UNKNOWN_SOURCE; NO_REFERENCE_DATA when no sample is left to train the reference or the run on.
 */
export async function prepareReference(
  options: ReferenceOptions,
  tools: PreparationTools,
): Promise<Artefact> {
  const { reference, referenceSteps } = options
  if (reference !== TRAIN) {
    const folder = reference === BASE ? undefined : tools.modelFolder(reference, 'method.signal.reference')
    return { tokenLoss: await tools.tokenLosses('reference', folder) }
  }
  const { forReference_P, forRun_P } = splitPool(tools.data, options, tools.seed)
  const { checkpoints } = await tools.train({
    name: 'reference',
    method: 'uniform',
    steps: referenceSteps,
    keep: (index) => forReference_P[index] === 1,
  })
  const { folder } = checkpoints.at(-1)!
  const keep = (index: number): boolean => forRun_P[index] === 1
  const tokenLoss = await tools.tokenLosses('reference', folder, keep)
  const figures = { referenceSamples: count(forReference_P), scoredSamples: count(forRun_P) }
  return options.holdout === 0 ? { tokenLoss, figures } : { tokenLoss, kept_P: forRun_P, figures }
}

/** Which samples the reference, and which the run, is trained on: 1 or 0 each. Whole documents are held out, a share of every source. */
export function splitPool(
  data: Pick<
    PreparationTools['data'],
    'numSamples' | 'sources' | 'sourceIndex' | 'documentIndex' | 'labelCount'
  >,
  { curated, holdout }: Pick<ReferenceOptions, 'curated' | 'holdout'>,
  seed: number,
): { readonly forReference_P: Uint8Array; readonly forRun_P: Uint8Array } {
  const unknown = curated.find((name) => !data.sources.includes(name))
  if (unknown !== undefined) {
    const known = data.sources.map((name) => `"${printable(name, 60)}"`).join(', ')
    throw new ConfigError(
      'UNKNOWN_SOURCE',
      `method.signal.curated: the data has no source "${printable(unknown, 60)}"; its sources are ${known}`,
      { source: unknown },
    )
  }
  const heldOut = heldOutDocuments(data, holdout, seed)
  const forReference_P = new Uint8Array(data.numSamples)
  const forRun_P = new Uint8Array(data.numSamples)
  let [referenceLabels, runLabels] = [0, 0]
  for (let index = 0; index < data.numSamples; index++) {
    const isHeldOut = heldOut.has(data.documentIndex(index))
    const isCurated = curated.length === 0 || curated.includes(data.sources[data.sourceIndex(index)]!)
    forReference_P[index] = isCurated && (isHeldOut || holdout === 0) ? 1 : 0
    forRun_P[index] = isHeldOut ? 0 : 1
    referenceLabels += forReference_P[index]! * data.labelCount(index)
    runLabels += forRun_P[index]! * data.labelCount(index)
  }
  requireLabels(
    referenceLabels,
    'the reference',
    'raise method.signal.holdout or name more sources in method.signal.curated',
  )
  requireLabels(runLabels, 'the run', 'lower method.signal.holdout')
  return { forReference_P, forRun_P }
}

function requireLabels(labels: number, whom: string, wayOut: string): void {
  if (labels > 0) return
  throw new ConfigError(
    'NO_REFERENCE_DATA',
    `method.signal: expected samples with labels to train ${whom} on, received none; ${wayOut}`,
  )
}

/** Of every source the same share of its documents, rounded, by a permutation of the seed. */
function heldOutDocuments(
  data: Pick<PreparationTools['data'], 'numSamples' | 'sources' | 'sourceIndex' | 'documentIndex'>,
  holdout: number,
  seed: number,
): ReadonlySet<number> {
  const bySource = data.sources.map(() => new Set<number>())
  for (let index = 0; holdout > 0 && index < data.numSamples; index++) {
    bySource[data.sourceIndex(index)]!.add(data.documentIndex(index))
  }
  const heldOut = bySource.flatMap((documents, source) => {
    const list = [...documents]
    if (list.length === 0) return []
    const permute = createPermutation({
      seed,
      epoch: source,
      numSamples: list.length,
      stream: HOLDOUT_STREAM,
    })
    return Array.from({ length: Math.round(holdout * list.length) }, (_, i) => list[permute(i)]!)
  })
  return new Set(heldOut)
}

const count = (marks: Uint8Array): number => marks.reduce((sum, mark) => sum + mark, 0)
