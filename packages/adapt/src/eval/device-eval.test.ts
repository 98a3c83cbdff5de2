import { nn } from '@adapt-ts/torch'
import { beforeAll, expect, it } from 'vitest'
import { counted, DEVICE, loadTestingDevice } from '../../../torch/testing-device/testing-device.mjs'
import { createTinyLlama, createTokens } from '../model/tiny-llama.test.fixture.js'
import { type Sums, scoreWindows, toEvaluation } from './score-windows.js'

beforeAll(loadTestingDevice)

it('evaluation on a device gives the figures of the CPU and copies the losses of each batch once', () => {
  const draw = createTokens(5)
  const windows = [7, 3, 9, 4, 6].map((length, i) => ({
    source: i % 2 === 0 ? 'even' : 'odd',
    tokens: Int32Array.from(draw(length)),
    labels: Int32Array.from(draw(length)),
  }))
  const evaluationOn = (device: string) => {
    using model = nn.withParameterDefaults({ device }, () => createTinyLlama())
    const sums = new Map<string, Sums>()
    const { counts } = counted(() => scoreWindows(model, windows, { batchSize: 2 }, sums))
    return { counts, figures: toEvaluation(sums) }
  }
  const [onDevice, onHost] = [evaluationOn(DEVICE), evaluationOn('cpu')]
  for (const source of ['even', 'odd'])
    expect(onDevice.figures.sources[source]!.nats_per_token).toBeCloseTo(
      onHost.figures.sources[source]!.nats_per_token!,
      5,
    )
  expect(onDevice.counts).toMatchObject({ copiesToHost: 3, scalarReads: 0, waits: 0, hostScalars: 0 })
})
