/** V anchors, K tasks, D width. */
import { matmul, mean, scope, type Tensor, tensor } from '@adapt-ts/torch'
import { type Batch, createPermutation } from '../batch/index.js'

/** Which task each anchor belongs to. */
export interface AnchorTasks {
  /** [K] in alphabetical order. */
  readonly names: readonly string[]
  /** [V], index into `names`; anchors in the order of the batches. */
  readonly of: readonly number[]
  /** [K] anchors of each task, >= 1. */
  readonly counts: readonly number[]
}

/** By the list of batches, which stays the same for a run and is asked for in every step. */
const known = new WeakMap<readonly Batch[], AnchorTasks>()

/** The task of an anchor is the source of its sample. */
export function anchorTasks(anchors: readonly Batch[]): AnchorTasks {
  const tasks = known.get(anchors) ?? findTasks(anchors)
  known.set(anchors, tasks)
  return tasks
}

function findTasks(anchors: readonly Batch[]): AnchorTasks {
  const sources = anchors.flatMap(({ samples }) => samples.map(({ source }) => source))
  const names = [...new Set(sources)].sort()
  const of = sources.map((source) => names.indexOf(source))
  const counts = names.map((_, k) => of.filter((task) => task === k).length)
  return { names, of, counts }
}

/** All anchors as one task. */
export function asOneTask({ of }: AnchorTasks): AnchorTasks {
  return { names: ['all'], of: of.map(() => 0), counts: [of.length] }
}

/**
 * Each task as two, of its anchors in two halves by a keyed permutation that is the same in every run: first halves, then second ones, [2 K].
 * A task of one anchor has no second half.
 */
export function halvedTasks({ names, of, counts }: AnchorTasks): AnchorTasks {
  const [V, K] = [of.length, names.length]
  const place = createPermutation({ seed: 0, epoch: 0, numSamples: V, stream: 24 })
  const seen = new Array<number>(K).fill(0)
  const halved = new Array<number>(V)
  const order = Array.from({ length: V }, (_, v) => v).sort((a, b) => place(a) - place(b))
  for (const v of order) {
    const task = of[v]!
    halved[v] = seen[task]!++ < counts[task]! / 2 ? task : K + task
  }
  return {
    names: ['first', 'second'].flatMap((half) => names.map((name) => `${half} of ${name}`)),
    of: halved,
    counts: [...counts.map((count) => Math.ceil(count / 2)), ...counts.map((count) => Math.floor(count / 2))],
  }
}

/** c_k, the mean of the unit vectors of each task: [V, D] -> [K, D]. Belongs to the current scope. */
export function taskCentroids(unit_VD: Tensor, { names, of, counts }: AnchorTasks): Tensor {
  const V = unit_VD.shape[0]!
  const K = names.length
  return scope(() => {
    if (K === 1) return mean(unit_VD, 0, true)
    const share_KV = new Float32Array(K * V)
    for (const [v, task] of of.entries()) share_KV[task * V + v] = 1 / counts[task]!
    return matmul(tensor(share_KV, [K, V], { device: unit_VD.device }), unit_VD)
  })
}
