import { expect, it } from 'vitest'
import { describeMethod } from './describe-method.js'
import type { MethodInput } from './method-config.js'
import { METHODS } from './registry.js'
import { resolveMethod } from './resolve-method.js'

const describeInput = (input: MethodInput) =>
  describeMethod(
    resolveMethod(input, (path, message) => {
      throw new Error(`${path.join('.')}: ${message}`)
    }),
  )

it('a method as its id says it is described by its definition', () => {
  for (const { id, about } of METHODS) expect(describeInput({ preset: id })).toBe(`${id}: ${about}`)
})

it('what is set otherwise is said, and nothing else', () => {
  const about = 'weights by closeness to the anchors, as the model itself now sees it'
  expect(describeInput({ signal: { refresh_every: 25 }, gate: { temperature: 1 }, shuffle: true })).toBe(
    `adapt: ${about} · refresh_every 25 · weights shuffled`,
  )
  expect(describeInput({ collapse: 'source' })).toBe(`adapt: ${about} · mean weight per source`)
  // The preset centres; without it that is what differs.
  expect(describeInput({ preset: 'adapt-calibrated', signal: { center: false } })).toContain(
    ' · center false',
  )
})

it('another kind than the one of the id is named, with the options that are not its own defaults', () => {
  expect(describeInput({ gate: { kind: 'softmax', temperature: 0.5 } })).toBe(
    'adapt · gate softmax · temperature 0.5',
  )
  expect(describeInput({ preset: 'uniform', signal: { kind: 'source', table: { web: 0.5, code: 2 } } })).toBe(
    'uniform · signal source · table web 0.5, code 2',
  )
})
