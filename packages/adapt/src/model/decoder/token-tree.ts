/** N positions of a tree, P cached positions before it, D width. */
import { type DType, reshape, scope, type Tensor, tensor } from '@adapt-ts/torch'
import { fitsSequenceAttention, type Sequences, sequencesOf, startsOf } from './attend-sequences.js'
import { type AttentionGroup, GROUP_POSITIONS, masksOf, OPEN_MASK } from './attention.js'
import type { CausalLM } from './causal-lm.js'
import { fillCache } from './forward-cached.js'
import { assertFits, inEvaluation, runBlocks } from './forward-pass.js'
import { KeyValueCache } from './key-value-cache.js'

/** Texts that begin alike, what they share once: every token follows its parent, which stands before it. */
export interface TokenTree {
  readonly tokens_N: Int32Array
  /** Place of the token before; -1: it follows the cached positions, or nothing. The tree of a root stands together. */
  readonly parent_N: Int32Array
}

/** Precision of {@link embedTree}, and what stands before the tree. */
export interface TreeOptions {
  readonly autocastDtype?: DType | undefined
  /** Keys and values that every root follows. */
  readonly before?: KeyValueCache | undefined
}

/** Keys and values of a text that others begin with; the caller's. One forward in evaluation mode. */
export function cachePrefix(
  model: CausalLM,
  tokens: ArrayLike<number>,
  autocastDtype: DType | undefined,
): KeyValueCache {
  const dtype = autocastDtype ?? 'float32'
  const cache = new KeyValueCache(model.config, tokens.length, { dtype, device: model.device })
  inEvaluation(model, autocastDtype, () =>
    scope(() => void fillCache(model, [tokens], cache, { computeDtype: autocastDtype })),
  )
  return cache
}

/**
 * Hidden states of a tree, without a graph, in evaluation mode: each as if its branch were a text of its own.
 * @returns float32 [N, D] after the final norm, in the current scope.
 * @throws {ConfigError} SEQUENCE_TOO_LONG for a branch of more positions than the model was made for.
 */
export function embedTree(
  model: CausalLM,
  { tokens_N, parent_N }: TokenTree,
  { autocastDtype, before }: TreeOptions = {},
): Tensor {
  const { device, config } = model
  const computeDtype = autocastDtype ?? 'float32'
  const N = tokens_N.length
  const start = before?.length ?? 0
  const position_N = new Int32Array(N)
  for (let n = 0; n < N; n++) position_N[n] = parent_N[n]! < 0 ? start : position_N[parent_N[n]!]! + 1
  const longest = position_N.reduce((most, position) => Math.max(most, position), 0) + 1
  assertFits(model, longest)
  const ids = (values: ArrayLike<number>) =>
    tensor(Int32Array.from(values), [1, N], { dtype: 'int64', device })
  return inEvaluation(model, autocastDtype, () =>
    scope(() => {
      const hasKernel = device === 'cpu' && fitsSequenceAttention(device, computeDtype, config.headDim)
      const context = {
        rotation: model.rotation(ids(position_N), longest),
        mask: OPEN_MASK,
        slidingMask: OPEN_MASK,
        ...(hasKernel
          ? { sequences: treeSequences(parent_N, position_N, start) }
          : { groups: treeGroups(parent_N, { start, device, slidingWindow: config.slidingWindow }) }),
        computeDtype: autocastDtype,
        before,
      }
      return reshape(runBlocks(model, ids(tokens_N), context), [N, config.hiddenSize])
    }),
  )
}

/**
 * Each stretch in which every token follows its neighbour, with the way to it as its keys. On the CPU: its kernel takes keys at places.
 * @param position_N  How many tokens a token follows, those before the tree among them.
 */
function treeSequences(parent_N: Int32Array, position_N: Int32Array, start: number): Sequences {
  const N = parent_N.length
  const firsts = Array.from(parent_N.keys()).filter((n) => n === 0 || parent_N[n] !== n - 1)
  const ends = [...firsts.slice(1), N]
  const queries = firsts.map((first, i) => ends[i]! - first)
  const keys = ends.map((end) => position_N[end - 1]! + 1)
  const places = new Int32Array(keys.reduce((sum, count) => sum + count, 0))
  let row = 0
  for (const [i, end] of ends.entries()) {
    for (let p = 0; p < start; p++) places[row + p] = p
    for (let u = end - 1; u >= 0; u = parent_N[u]!) places[row + position_N[u]!] = start + u
    row += keys[i]!
  }
  const sequences = sequencesOf(queries, 'cpu')
  if (start === 0 && firsts.every((first) => parent_N[first] === -1)) return sequences
  return {
    ...sequences,
    keys: { starts: startsOf(keys, 'cpu'), places: tensor(places, [places.length]) },
  }
}

interface GroupOptions {
  readonly start: number
  readonly device: string
  readonly slidingWindow: number | undefined
}

/** Neighbouring roots with all that follows them, as many as attend well in one product. */
function treeGroups(parent_N: Int32Array, options: GroupOptions): AttentionGroup[] {
  const roots = Array.from(parent_N, (parent, n) => (parent < 0 ? n : -1)).filter((n) => n >= 0)
  const ends = [...roots.slice(1), parent_N.length]
  const groups: { first: number; end: number }[] = []
  for (const [i, first] of roots.entries()) {
    const end = ends[i]!
    const last = groups.at(-1)
    if (last !== undefined && end - last.first <= GROUP_POSITIONS) last.end = end
    else groups.push({ first, end })
  }
  return groups.map(({ first, end }) => {
    const length = end - first
    const shared = (window?: number) => treeMask(parent_N, { first, end, window, ...options })
    return { length, ...masksOf(options.start + length, options.slidingWindow, shared) }
  })
}

/** 0 where position t may look at u: u stands before the tree or on the way from its root to t, and within the window. */
function treeMask(
  parent_N: Int32Array,
  {
    first,
    end,
    start,
    device,
    window = Infinity,
  }: GroupOptions & { first: number; end: number; window?: number | undefined },
): { readonly isCausal: false; readonly additive: Tensor } {
  const length = end - first
  const width = start + length
  const mask = new Float32Array(length * width).fill(Number.NEGATIVE_INFINITY)
  const depth = new Int32Array(length)
  for (let t = 0; t < length; t++) {
    const row = t * width
    const parent = parent_N[first + t]! - first
    depth[t] = parent_N[first + t]! < 0 ? 0 : depth[parent]! + 1
    mask.fill(0, row + Math.max(0, start + depth[t]! - window + 1), row + start)
    // Ancestors one by one: a window leaves the far ones out.
    for (let u = t, back = 0; back <= depth[t]! && back < window; back++) {
      mask[row + start + u] = 0
      u = parent_N[first + u]! - first
    }
  }
  return { isCausal: false, additive: tensor(mask, [length, width], { device }) }
}
