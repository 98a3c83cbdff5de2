import type { TokenTree } from '../model/index.js'

/** A text whose last tokens are scored. */
export interface ScoredText {
  /** What the model reads: all tokens but the last. */
  readonly input: Int32Array
  /** Tokens to score: those that follow the last `targets.length` positions of the input. */
  readonly targets: Int32Array
}

/** Texts that are scored in one pass: what they share is computed once. */
export interface TreePass {
  /** Tokens that all of them begin with, whose keys and values are kept; may be none. */
  readonly prefix: Int32Array
  readonly tree: TokenTree
  readonly texts: readonly {
    /** Place in the list of texts. */
    readonly text: number
    /** Place in the tree of the position before each target. */
    readonly place_T: Int32Array
  }[]
}

/** A shorter prefix costs more to keep than to compute again. */
const MIN_PREFIX = 32

/**
 * Orders texts so that what many of them begin with is computed once: few-shot examples of a task by their keys and values, the context of a document's
 * choices within a pass. The passes are a function of the texts alone.
 *
 * @param maxPositions  Of a pass, beside the prefix; a single text may have more.
 */
export function planTrees(texts: readonly ScoredText[], maxPositions: number): TreePass[] {
  const order = [...texts.keys()].sort((a, b) => compareTokens(texts[a]!.input, texts[b]!.input) || a - b)
  const passes: TreePass[] = []
  const first = (i: number): ScoredText => texts[order[i]!]!
  /** Tokens that neighbours in the order share. */
  const shared = Int32Array.from(order, (_, i) =>
    i === 0 ? 0 : commonLength(first(i - 1).input, first(i).input),
  )

  /** Texts from `low` up to `high` in the order, of whose tokens the first `kept` are kept already. */
  const visit = (low: number, high: number, kept: number): void => {
    if (countNodes(low, high, kept) <= maxPositions || high - low === 1) {
      passes.push(passOf(low, high, kept))
      return
    }
    let common = first(low).input.length
    let last = Infinity
    for (let i = low; i < high; i++) {
      if (i > low) common = Math.min(common, shared[i]!)
      const { input, targets } = first(i)
      last = Math.min(last, input.length - targets.length)
    }
    // The position before a target is computed in the pass itself.
    const prefix = Math.min(common, last)
    const inner = prefix - kept >= MIN_PREFIX ? prefix : kept
    let start = low
    let nodes = 0
    for (let i = low; i < high; i++) {
      // A branch that leaves the common tokens begins.
      if (i > low && shared[i]! > common) continue
      const end = endOfBranch(i, high, common)
      const size = countNodes(i, end, inner)
      if (start < i && nodes + size > maxPositions) {
        passes.push(passOf(start, i, inner))
        start = i
        nodes = 0
      }
      if (size > maxPositions && end - i > 1) {
        visit(i, end, inner)
        start = end
        nodes = 0
      } else nodes += size
    }
    if (start < high) passes.push(passOf(start, high, inner))
  }

  /** First text behind `i` that shares no more than `common` tokens with the one before it. */
  const endOfBranch = (i: number, high: number, common: number): number => {
    let end = i + 1
    while (end < high && shared[end]! > common) end++
    return end
  }

  /** Positions of a tree of these texts without their first `kept` tokens. */
  const countNodes = (low: number, high: number, kept: number): number => {
    let count = first(low).input.length - kept
    for (let i = low + 1; i < high; i++) count += first(i).input.length - Math.max(kept, shared[i]!)
    return count
  }

  const passOf = (low: number, high: number, kept: number): TreePass => {
    const tokens: number[] = []
    const parents: number[] = []
    /** Places of the tokens of the last text, from `kept` on. */
    let path: number[] = []
    const placed = Array.from({ length: high - low }, (_, n) => {
      const i = low + n
      const { input, targets } = first(i)
      path = path.slice(0, i === low ? 0 : Math.max(0, shared[i]! - kept))
      for (let t = kept + path.length; t < input.length; t++) {
        parents.push(path.at(-1) ?? -1)
        path.push(tokens.length)
        tokens.push(input[t]!)
      }
      return { text: order[i]!, place_T: Int32Array.from(path.slice(path.length - targets.length)) }
    })
    const tree = { tokens_N: Int32Array.from(tokens), parent_N: Int32Array.from(parents) }
    return { prefix: first(low).input.slice(0, kept), tree, texts: placed }
  }

  if (texts.length > 0) visit(0, texts.length, 0)
  return passes
}

function compareTokens(a: Int32Array, b: Int32Array): number {
  const length = commonLength(a, b)
  return length < a.length && length < b.length ? a[length]! - b[length]! : a.length - b.length
}

function commonLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length)
  let length = 0
  while (length < most && a[length] === b[length]) length++
  return length
}
