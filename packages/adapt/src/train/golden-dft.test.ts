/** N labelled positions. */
import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { createMethod, type MethodOptions } from '../catalog/index.js'
import { chunkedTokenMasses, labelledPositions } from '../loss/index.js'
import type { Artefact } from '../method/index.js'
import { type BatchJson, batchOfJson, openGolden } from '../model/golden.test.fixture.js'
import { embedTokens, loadModelFolder, toModelInputs } from '../model/index.js'
import { gradientValues, relativeDistance, worstDistance } from '../model/tiny-llama.test.fixture.js'
import { createCase } from './training-case.test.fixture.js'

type Name = 'dft' | 'prift' | 'prift-mass'

interface Values {
  readonly batch: BatchJson
  readonly losses: Readonly<Record<Name, number>>
  readonly base: readonly number[][]
  readonly masses: readonly number[][]
  readonly weights: Readonly<Record<Name, readonly number[][]>>
}

const golden = openGolden<Values>('dft')
const { values } = golden
const batch = batchOfJson(values.batch)

/** What a frozen model said of the tokens, by sample. */
const stored = (bySample: readonly number[][]): Artefact => ({
  tokenLoss: { at: (index) => Float32Array.from(bySample[index]!) },
})

const CASES: Readonly<Record<Name, readonly [MethodOptions, Artefact]>> = {
  dft: [{ preset: 'dft' }, {}],
  prift: [{ preset: 'dft', signal: { reference: 'base' } }, stored(values.base)],
  'prift-mass': [{ preset: 'prift-mass' }, stored(values.masses)],
}

const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / Math.max(1, list.length)

describe.each(Object.keys(CASES) as Name[])('a step of %s', (name) => {
  it('has the loss, the weights and the gradients of the reference', () => {
    const [method, artefact] = CASES[name]
    using training = createCase(createMethod(method, { artefact }), {
      model: loadModelFolder(golden.modelFolder),
      anchors: [],
      learningRate: 0,
      lossChunkSize: 6,
    })
    const { record, events } = training.step([batch])
    expect(Math.abs(record.lossWeighted / values.losses[name] - 1)).toBeLessThan(golden.tolerance)
    const weights = events.totals.samples.map(({ weight }) => weight)
    expect(relativeDistance(weights, values.weights[name].map(mean))).toBeLessThan(golden.tolerance)
    const expected = golden.file(`gradients-${name}.safetensors`).all('grad.')
    expect(worstDistance(gradientValues(training.model), expected)).toBeLessThan(golden.tolerance)
  })
})

describe('the masses of tokens', () => {
  it('are those of loops over the vocabulary', () => {
    const model = loadModelFolder(golden.modelFolder)
    const masses = scope(() => {
      const labelled = labelledPositions(batch, model.device)
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device))
      const options = { chunkSize: 5 }
      return chunkedTokenMasses(
        labelled.select(hidden_BTD),
        model.headWeight,
        labelled.labels_N,
        options,
      ).toFloat32Array()
    })
    model.dispose()
    expect(relativeDistance(masses, golden.floats('mass_N'))).toBeLessThan(golden.tolerance)
  })
})
