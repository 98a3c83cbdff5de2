// That the device without hardware catches what would be a fault or a stall on a GPU: each mistake planted once.
import {
  add,
  full,
  Generator,
  mul,
  nn,
  normal_,
  ops,
  sum,
  type Tensor,
  toDevice,
  zerosLike,
} from '@adapt-ts/torch'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  counted,
  DEVICE,
  type Forbiddable,
  loadTestingDevice,
  OTHER_DEVICE,
  withForbidden,
} from '../../../torch/testing-device/testing-device.mjs'
import { batchOf, createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { createCase, methodWith, rowsOfStep } from './training-case.test.fixture.js'

beforeAll(loadTestingDevice)

/** What a careless signal does with scores that it then gives back. */
function after(action: (score_S: Tensor) => unknown): (score_S: Tensor) => Tensor {
  return (score_S) => {
    action(score_S)
    return score_S
  }
}

/** A step of two micro-batches under a signal whose scores, 1, went through `mistake`. */
function stepWith(mistake: (score_S: Tensor) => Tensor) {
  const model = nn.withParameterDefaults({ device: DEVICE }, () => createTinyLlama())
  const method = methodWith({
    signal: {
      score: ({ batch, hidden_BTD }) =>
        mistake(full([batch.samples.length], 1, { device: hidden_BTD.device })),
    },
  })
  using training = createCase(method, { model })
  const rows = rowsOfStep(0)
  const batches = [batchOf(rows.slice(0, 2)), batchOf(rows.slice(2))]
  return counted(() => training.step(batches)).counts
}

describe('a step', () => {
  it('without a mistake waits once', () => {
    expect(stepWith((score_S) => mul(score_S, 2))).toMatchObject({
      ...{ copiesToHost: 1, scalarReads: 0, waits: 0, hostScalars: 0 },
    })
  })

  it.each([
    ['a constant of the CPU', (score_S: Tensor) => add(score_S, full(score_S.shape, 0.1)), /same device/],
    [
      'a tensor of another device',
      (score_S: Tensor) => add(score_S, full(score_S.shape, 0.1, { device: OTHER_DEVICE })),
      /privateuseone:0 and privateuseone:1/,
    ],
    [
      'a generator of the CPU',
      (score_S: Tensor) => normal_(zerosLike(score_S), 0, 1, new Generator(1)),
      /generator/,
    ],
    [
      'a score left on the CPU',
      (score_S: Tensor) => toDevice(score_S, 'cpu'),
      /privateuseone:0.* cpu|on cpu/,
    ],
  ] as const)('fails at %s', (_, mistake, message) => {
    expect(() => stepWith(mistake)).toThrow(message)
  })

  it.each([
    ['copiesToHost', 3, 'scores that are read', after((score_S) => score_S.toFloat32Array())],
    [
      'copiesToHost',
      3,
      'a way over the CPU and back',
      (score_S: Tensor) => toDevice(toDevice(score_S, 'cpu'), DEVICE),
    ],
    ['scalarReads', 2, 'a scalar that is read', after((score_S) => sum(score_S).item())],
    ['waits', 2, 'a choice by values', after((score_S) => ops.aten!.nonzero!(score_S))],
    ['hostScalars', 2, 'a scalar tensor of the CPU', (score_S: Tensor) => mul(score_S, full([], 1))],
  ] as readonly [
    Forbiddable,
    number,
    string,
    (score_S: Tensor) => Tensor,
  ][])('shows in %s, as %i, %s, and throws where that is forbidden', (name, count, _, mistake) => {
    expect(stepWith(mistake)[name]).toBe(count)
    const forbidding = (score_S: Tensor) => withForbidden([name], () => mistake(score_S))
    expect(() => stepWith(forbidding)).toThrow(/forbidden here/)
  })
})
