import { full, zeros } from '@adapt-ts/torch'
import { applyLoss } from './apply-loss.js'
import { applyMask } from './apply-mask.js'
import { applySample } from './apply-sample.js'
import type { Composition } from './composition.js'
import {
  type Life,
  NO_STATE,
  type PluginState,
  type StepDivisor,
  type StepFacts,
  type StepTools,
} from './contract.js'
import type { Method, WeightPlan } from './plan-step.js'
import { rescorePool, scorePool } from './score-pool.js'

type Planner = (composition: Composition, batches: WeightPlan['batches'], facts: StepFacts) => WeightPlan

/** What was left out before training has no part in a step: there is nothing more to mask. */
function plannerOf({ apply, isStored }: Composition): Planner {
  if (apply === 'loss') return applyLoss
  return apply === 'mask' && !isStored ? applyMask : applySample
}

/** A step of weights of 1, for which nothing is measured. */
function planUnscored(batches: WeightPlan['batches'], { device }: StepTools): WeightPlan {
  return {
    batches,
    dropped: [],
    scoredTokens: 0,
    weigh(index) {
      const shape = [batches[index]!.samples.length]
      return { score_S: zeros(shape, { device }), weight_S: full(shape, 1, { device }) }
    },
  }
}

/** What the gate divides a step by; every rank must ask. */
function divisorOf(
  { gate }: Composition,
  { batches }: WeightPlan,
  facts: StepFacts,
): StepDivisor | undefined {
  if (gate.divisor === undefined) return undefined
  const own = batches.flatMap(({ samples }) => samples).reduce((sum, { numLabels }) => sum + numLabels, 0)
  return gate.divisor(facts.collective.allReduceNumbers([own])[0]!, facts)
}

/** Tensors of the gate in a state, beside those of the signal. */
const GATE_TENSOR = 'gate.'

/**
 * The method that a trainer sees, of a signal and a gate. When the signal says that recent samples have new scores, the gate is told before it
 * weighs anything else.
 */
export function composeMethod(composition: Composition): Method {
  const { signal, gate, facts: runFacts } = composition
  const parts: readonly Life[] = [signal, gate]
  const plan = plannerOf(composition)
  const factsOf = (tools: StepTools): StepFacts => ({ ...runFacts, ...tools })
  const isScored = ({ step }: StepTools) => step >= composition.firstScored
  /** Completed steps when the signal was last refreshed ahead of its step, for a pool that it scored. */
  let refreshedAhead = -1
  const passOnRescored = (step: number) => {
    const trust = signal.takeTrust?.()
    if (trust) gate.trust?.(trust, step)
    const rescored = signal.takeRescored?.()
    if (rescored) gate.rescore?.(rescored, step)
  }
  return {
    id: composition.id,
    normalizer: composition.normalizer,
    needs: composition.needs,
    reference: composition.artefact.tokenLoss,
    candidates: composition.candidates,
    // A gate whose weights scale the loss leaves the draw alone; what preparation shared out is another's say.
    shares: () =>
      (composition.apply === 'sample' ? gate.shares?.() : undefined) ?? composition.artefact.share_G,
    draw: () => gate.draw?.(),
    decidesDraw: (step) =>
      (composition.apply === 'sample' && gate.shares !== undefined) || gate.wants?.(step) !== undefined,
    *beforeDraw(tools) {
      const facts = factsOf(tools)
      const { stored } = signal
      const outdated = stored?.rescoring?.wants(tools.step)
      if (stored?.rescoring && outdated)
        stored.take(yield* rescorePool(composition.id, stored.rescoring, outdated, facts), facts)
      const wanted = gate.wants?.(tools.step)
      if (wanted === undefined) return
      if (refreshedAhead !== tools.step) signal.beforeStep?.(facts)
      refreshedAhead = tools.step
      const pool = yield* scorePool(composition, wanted, facts)
      for (const part of parts) part.observePool?.(pool, facts)
    },
    beforeStep(tools) {
      const facts = factsOf(tools)
      if (isScored(tools) && refreshedAhead !== tools.step) signal.beforeStep?.(facts)
      // The first step that is weighed with them.
      passOnRescored(tools.step + 1)
      gate.beforeStep?.(facts)
    },
    plan(batches, tools) {
      const facts = factsOf(tools)
      const made = isScored(tools) ? plan(composition, batches, facts) : planUnscored(batches, tools)
      const divisor = divisorOf(composition, made, facts)
      return divisor === undefined ? made : { ...made, divisor }
    },
    observe(outcome, tools) {
      const facts = factsOf(tools)
      for (const part of parts) part.observe?.(outcome, facts)
      passOnRescored(outcome.step)
    },
    takeEvents: () => parts.flatMap((part) => part.takeEvents?.() ?? []),
    state(): PluginState {
      const [ofSignal, ofGate] = parts.map((part) => part.state?.() ?? NO_STATE) as [PluginState, PluginState]
      const gateTensors = [...ofGate.tensors].map(
        ([name, value]) => [`${GATE_TENSOR}${name}`, value] as const,
      )
      return {
        json: {
          ...{ signal: ofSignal.json, gate: ofGate.json },
          ...(refreshedAhead < 0 ? {} : { refreshedAhead }),
        },
        tensors: new Map([...ofSignal.tensors, ...gateTensors]),
      }
    },
    load({ json, tensors }) {
      refreshedAhead = (json.refreshedAhead as number | undefined) ?? -1
      const isGates = (name: string) => name.startsWith(GATE_TENSOR)
      const entries = [...tensors]
      signal.load?.({
        json: json.signal as PluginState['json'],
        tensors: new Map(entries.filter(([name]) => !isGates(name))),
      })
      gate.load?.({
        json: json.gate as PluginState['json'],
        tensors: new Map(
          entries.flatMap(([name, value]) =>
            isGates(name) ? [[name.slice(GATE_TENSOR.length), value] as const] : [],
          ),
        ),
      })
    },
    [Symbol.dispose]() {
      for (const part of parts) part.dispose?.()
    },
  }
}
