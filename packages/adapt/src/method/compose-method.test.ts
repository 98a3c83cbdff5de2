import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { composeMethod } from './compose-method.js'
import type { Gate, PluginState, Signal } from './contract.js'
import { compositionOf, outcomeOf, stepFacts } from './step-facts.test.fixture.js'

const noScore = () => {
  throw new Error('no step is weighed here')
}

describe('composeMethod', () => {
  it('tells the gate of new scores before it weighs anything else, with the step that is weighed next', () => {
    const told: unknown[] = []
    let rescored: Float64Array | undefined
    const signal: Signal = {
      score: noScore,
      beforeStep: ({ step }) => void told.push(`signal before ${step}`),
      observe: ({ step }) => void told.push(`signal after ${step}`),
      takeRescored() {
        const taken = rescored
        rescored = undefined
        return taken
      },
    }
    const gate: Gate = {
      weights: noScore,
      beforeStep: ({ step }) => void told.push(`gate before ${step}`),
      observe: ({ step }) => void told.push(`gate after ${step}`),
      rescore: (scores, step) => void told.push(`rescored ${scores} at ${step}`),
    }
    const method = composeMethod(compositionOf({ signal, gate }))
    const tools = stepFacts({ step: 6 })
    rescored = Float64Array.of(1, 2)
    method.beforeStep(tools)
    rescored = Float64Array.of(3)
    method.observe(outcomeOf([], 7), tools)
    expect(told).toEqual([
      'signal before 6',
      'rescored 1,2 at 7',
      'gate before 6',
      'signal after 7',
      'gate after 7',
      'rescored 3 at 7',
    ])
  })

  it('hands on what its parts have to say, once', () => {
    const partOf = (kind: string) => {
      const events = [{ kind, step: 1, fields: {} }]
      return { takeEvents: () => events.splice(0) }
    }
    const method = composeMethod(
      compositionOf({
        signal: { score: noScore, ...partOf('refresh') },
        gate: { weights: noScore, ...partOf('calibration') },
      }),
    )
    expect(method.takeEvents().map(({ kind }) => kind)).toEqual(['refresh', 'calibration'])
    expect(method.takeEvents()).toEqual([])
  })

  it('keeps the states of its parts apart, tensors of the same name too', () => {
    scope(() => {
      const stateOf = (value: number): PluginState => ({
        json: { value },
        tensors: new Map([['mean', tensor([value], [1])]]),
      })
      const loaded: unknown[] = []
      const partOf = (value: number) => ({
        state: () => stateOf(value),
        load: ({ json, tensors }: PluginState) =>
          void loaded.push([json, ...Array.from(tensors, ([name, kept]) => [name, kept.item()])]),
      })
      const method = composeMethod(
        compositionOf({
          signal: { score: noScore, ...partOf(1) },
          gate: { weights: noScore, ...partOf(2) },
        }),
      )
      const { json, tensors } = method.state()
      method.load({ json: JSON.parse(JSON.stringify(json)) as PluginState['json'], tensors })
      expect(loaded).toEqual([
        [{ value: 1 }, ['mean', 1]],
        [{ value: 2 }, ['mean', 2]],
      ])
    })
  })

  it('is content with parts that have no life of their own', () => {
    const method = composeMethod(compositionOf({ signal: { score: noScore }, gate: { weights: noScore } }))
    method.beforeStep(stepFacts())
    method.observe(outcomeOf([], 1), stepFacts())
    const state = method.state()
    expect([state.json, state.tensors.size]).toEqual([{ signal: {}, gate: {} }, 0])
    method.load(state)
    expect(method.shares()).toBeUndefined()
    method[Symbol.dispose]()
  })

  it('steers the draw by the shares of the gate, else by those that preparation left', () => {
    const signal: Signal = { score: noScore }
    const shares = Float64Array.of(0.25, 0.75)
    const artefact = { share_G: Float64Array.of(0.5, 0.5) }
    const bandit: Gate = { weights: noScore, shares: () => shares }
    const silent: Gate = { weights: noScore }
    const sharesOf = (gate: Gate, apply: 'sample' | 'loss') =>
      composeMethod({ ...compositionOf({ signal, gate, artefact }), apply }).shares()
    expect(sharesOf(bandit, 'sample')).toBe(shares)
    expect(sharesOf(silent, 'sample')).toBe(artefact.share_G)
    // Weights of the loss say nothing about the draw.
    expect(sharesOf(bandit, 'loss')).toBe(artefact.share_G)
  })
})
