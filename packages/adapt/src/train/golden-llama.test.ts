import { full, mean, noGrad, scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { chunkedCrossEntropy, chunkedTokenLosses, labelledPositions } from '../loss/index.js'
import { batchOfArrays, openGolden } from '../model/golden.test.fixture.js'
import { type CausalLM, embedTokens, loadModelFolder, runForward, toModelInputs } from '../model/index.js'
import { gradientValues, relativeDistance, worstDistance } from '../model/tiny-llama.test.fixture.js'

const CASES = ['llama-two-layer', 'llama-two-layer-tied']
const VARIANTS = [false, true].flatMap((checkpoint) =>
  [1, 5, 512].map((chunkSize) => ({ checkpoint, chunkSize })),
)

describe.each(CASES)('%s against the reference', (name) => {
  const golden = openGolden<{ loss: number; numLabels: number }>(name)
  const batch = batchOfArrays(golden.ids('tokens_BT'), golden.ids('labels_BT'), golden.shape('tokens_BT')[0]!)

  const withModel = <T>(fn: (model: CausalLM) => T): T => {
    const model = loadModelFolder(golden.modelFolder)
    try {
      return scope(() => fn(model))
    } finally {
      model.dispose()
    }
  }

  it('gives the logits', () => {
    const logits = withModel((model) =>
      noGrad(() => model.run(embedTokens(model, toModelInputs(batch, model.device)))).toFloat32Array(),
    )
    expect(relativeDistance(logits, golden.floats('logits_BTV'))).toBeLessThan(golden.tolerance)
  })

  it.each(VARIANTS)('gives loss and gradients with %o', ({ checkpoint, chunkSize }) => {
    withModel((model) => {
      const labelled = labelledPositions(batch, model.device)
      expect(labelled.count).toBe(golden.values.numLabels)
      const pass = runForward(model, toModelInputs(batch, model.device), { checkpoint })
      const logits = noGrad(() => model.run(pass.hidden_BTD)).toFloat32Array()
      expect(relativeDistance(logits, golden.floats('logits_BTV'))).toBeLessThan(golden.tolerance)

      const { loss_N, gradient_ND } = chunkedCrossEntropy(
        labelled.select(pass.hidden_BTD),
        model.headWeight,
        labelled.labels_N,
        full([labelled.count], 1 / labelled.count, { device: model.device }),
        { chunkSize },
      )
      expect(Math.abs(mean(loss_N).item() / golden.values.loss - 1)).toBeLessThan(golden.tolerance)
      pass.backward(labelled.scatter(gradient_ND))
      expect(worstDistance(gradientValues(model), golden.all('grad.'))).toBeLessThan(golden.tolerance)
    })
  })

  it('gives the same token losses without gradients', () => {
    withModel((model) => {
      const labelled = labelledPositions(batch, model.device)
      const hidden = labelled.select(embedTokens(model, toModelInputs(batch, model.device)))
      const loss_N = chunkedTokenLosses(hidden, model.headWeight, labelled.labels_N, { chunkSize: 3 })
      expect(Math.abs(mean(loss_N).item() / golden.values.loss - 1)).toBeLessThan(golden.tolerance)
    })
  })

  it('gives the logits of a packed row, each sample seeing only itself', () => {
    const tokens_BT = golden.ids('packed.tokens_BT')
    const packed = {
      ...batchOfArrays(tokens_BT, new Int32Array(tokens_BT.length).fill(-100), 1),
      segment_BT: golden.ids('packed.segment_BT'),
      position_BT: golden.ids('packed.position_BT'),
    }
    const logits = withModel((model) =>
      noGrad(() => model.run(embedTokens(model, toModelInputs(packed, model.device)))).toFloat32Array(),
    )
    expect(relativeDistance(logits, golden.floats('packed.logits_BTV'))).toBeLessThan(golden.tolerance)
  })
})
