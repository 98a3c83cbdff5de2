/** S samples, N labelled positions of a micro-batch. */
import { scope, type Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { Method, MethodEvent, Weights } from '../method/index.js'

/** What a state is, by value. */
export type Snapshot = readonly [string, ReadonlyMap<string, Float32Array>]

/** Copies of everything that the method would save. */
export function snapshotOf(method: Method): Snapshot {
  const { json, tensors } = method.state()
  return [JSON.stringify(json), new Map([...tensors].map(([name, value]) => [name, valuesOf(value)]))]
}

/** What a tensor holds. */
export const valuesOf = (values: Tensor): Float32Array => scope(() => values.toFloat32Array())

/** What of a method's work was seen from outside. */
export interface Watch {
  /** What a weight or a score was that may not be. */
  readonly faults: string[]
  /** After `beforeStep` of the last step. */
  begun: Snapshot | undefined
  readonly events: MethodEvent[]
}

/** The same method, looked over the shoulder. */
export function watched(method: Method, watch: Watch): Method {
  return {
    ...method,
    beforeStep(tools) {
      method.beforeStep(tools)
      watch.begun = snapshotOf(method)
    },
    plan(batches, tools) {
      const plan = method.plan(batches, tools)
      return {
        ...plan,
        weigh(index, evidence) {
          const weights = plan.weigh(index, evidence)
          watch.faults.push(...faultsOf(weights, plan.batches[index]!))
          return weights
        },
      }
    },
    takeEvents() {
      const events = method.takeEvents()
      watch.events.push(...events)
      return events
    },
  }
}

function faultsOf(weights: Weights, batch: Batch): string[] {
  const { score_S, weight_S, weight_N } = weights
  const numLabels = batch.samples.reduce((sum, sample) => sum + sample.numLabels, 0)
  const parts: readonly (readonly [string, Tensor, number])[] = [
    ['score', score_S, batch.samples.length],
    ['weight', weight_S, batch.samples.length],
    ...(weight_N ? ([['token weight', weight_N, numLabels]] as const) : []),
  ]
  return parts.flatMap(([name, values, length]) => {
    const list = [...valuesOf(values)]
    return [
      ...(values.requiresGrad ? [`${name} carries a gradient`] : []),
      ...(values.shape.join() === String(length)
        ? []
        : [`${name}: ${values.shape.join()} in the place of ${length}`]),
      ...(list.every(Number.isFinite) ? [] : [`${name} is not finite: ${list.join()}`]),
      ...(name === 'score' || list.every((value) => !(value < 0)) ? [] : [`${name} below 0: ${list.join()}`]),
    ]
  })
}
