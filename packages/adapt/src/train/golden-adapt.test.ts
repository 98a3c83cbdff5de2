import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { chunkedTokenLosses, labelledPositions, NORMALIZERS, type Normalizer } from '../loss/index.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { embedTokens, loadModelFolder, toModelInputs } from '../model/index.js'
import { batchOf, gradientValues, relativeDistance, worstDistance } from '../model/tiny-llama.test.fixture.js'
import { poolHidden } from '../signal/index.js'
import { createCase, methodOf } from './training-case.test.fixture.js'

interface BatchJson extends Omit<Batch, 'tokens_BT' | 'labels_BT' | 'segment_BT' | 'position_BT'> {
  readonly tokens_BT: number[]
  readonly labels_BT: number[]
  readonly segment_BT: number[]
  readonly position_BT: number[]
}

interface Values {
  readonly batch: BatchJson
  readonly anchors: number[][]
  readonly scores: number[]
  readonly temperatures: Record<
    string,
    {
      readonly weights: number[]
      readonly edr: number
      readonly essRatio: number
      readonly losses: Record<Normalizer, number>
      readonly normalisers: Record<Normalizer, number>
    }
  >
}

const golden = openGolden<Values>('adapt-step')
const { batch: json, anchors, temperatures } = golden.values
const batch: Batch = {
  ...json,
  tokens_BT: Int32Array.from(json.tokens_BT),
  labels_BT: Int32Array.from(json.labels_BT),
  segment_BT: Int32Array.from(json.segment_BT),
  position_BT: Int32Array.from(json.position_BT),
}

/** One whole step at a learning rate of 0: gradients stay those of the loss. */
function step(temperature: string, normalizer: Normalizer, gradientCheckpointing = false) {
  const method = methodOf({ preset: 'adapt', gate: { temperature: Number(temperature) }, normalizer })
  using training = createCase(method, {
    model: loadModelFolder(golden.modelFolder),
    anchors: [batchOf(anchors.map((tokens) => [{ tokens }]))],
    learningRate: 0,
    maxGradNorm: undefined,
    gradientCheckpointing,
    lossChunkSize: 6,
  })
  const { record, events } = training.step([batch])
  const state = method.state().tensors
  return {
    record,
    totals: events.totals,
    gradients: gradientValues(training.model),
    anchors_AD: scope(() => state.get('anchors')!.toFloat32Array()),
    centroid_D: scope(() => state.get('centroid')!.toFloat32Array()),
  }
}

const expectNear = (actual: ArrayLike<number>, expected: ArrayLike<number>) =>
  expect(relativeDistance(actual, expected)).toBeLessThan(golden.tolerance)

describe('one ADAPT step against the reference', () => {
  it('has the hidden states, pooled vectors and token losses', () => {
    const model = loadModelFolder(golden.modelFolder)
    scope(() => {
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device))
      const width = hidden_BTD.shape[2]!
      const zeroedOnPadding = hidden_BTD.toFloat32Array().map((value, i) => {
        return batch.segment_BT[Math.floor(i / width)] === -1 ? 0 : value
      })
      expectNear(zeroedOnPadding, golden.floats('hidden_BTD'))
      const pooled_SD = poolHidden(hidden_BTD, batch, { pooling: 'position_weighted', tokens: 'all' })
      expectNear(pooled_SD.toFloat32Array(), golden.floats('pooled_SD'))
      const labelled = labelledPositions(batch, model.device)
      const loss_N = chunkedTokenLosses(labelled.select(hidden_BTD), model.headWeight, labelled.labels_N)
      expectNear(
        loss_N.toFloat32Array(),
        golden.floats('token_loss_BT').filter((_, i) => batch.labels_BT[i]! >= 0),
      )
    })
    model.dispose()
  })

  it('embeds the anchors into the same centroid', () => {
    const { anchors_AD, centroid_D } = step('1', 'sample.wmean')
    expectNear(anchors_AD, golden.floats('anchor_pooled_AD'))
    expectNear(centroid_D, golden.floats('centroid_D'))
  })

  it.each(Object.keys(temperatures))('gives scores, weights and losses at temperature %s', (temperature) => {
    const expected = temperatures[temperature]!
    for (const normalizer of NORMALIZERS) {
      const { totals, record } = step(temperature, normalizer)
      expectNear(
        totals.samples.map(({ score }) => score),
        golden.values.scores,
      )
      expectNear(
        totals.samples.map(({ weight }) => weight),
        expected.weights,
      )
      expectNear(
        totals.samples.map(({ weight }) => weight),
        golden.floats(`weight_S.${temperature}`),
      )
      expectNear(
        totals.samples.map(({ loss }) => loss),
        golden.floats('sample_loss_S'),
      )
      expectNear(
        [totals.lossWeighted, totals.denominator],
        [expected.losses[normalizer], expected.normalisers[normalizer]],
      )
      if (!normalizer.startsWith('sample')) continue
      // The reference's shares are over samples with labels, as the record's are.
      expectNear([record.weightMean, record.essRatio], [expected.edr, expected.essRatio])
    }
  })

  it.each([
    ['sample.wmean', false],
    ['sample.wmean', true],
    ['token.mean', false],
  ] as const)('gives the gradients under %s (recomputing activations: %s)', (normalizer, checkpoint) => {
    const { gradients } = step('0.1', normalizer, checkpoint)
    expect(
      worstDistance(gradients, golden.file(`gradients-${normalizer}.safetensors`).all('grad.')),
    ).toBeLessThan(golden.tolerance)
  })
})
