/** n rows of F numbers. */

/** How trees are grown and added. */
export interface BoostingOptions {
  /** What is added of each tree. */
  readonly learningRate: number
  readonly maxTrees: number
  /** Most leaves of a tree, >= 2. */
  readonly maxLeaves: number
  /** Fewest rows of a leaf, >= 1. */
  readonly minLeaf: number
}

/** Rows that the trees are not grown on. */
export interface HeldOut {
  readonly rows: readonly ArrayLike<number>[]
  readonly targets: ArrayLike<number>
  /** Trees without a smaller error after which no more are grown; those behind the best are dropped. */
  readonly patience: number
}

/** A regression by boosted trees. */
export interface BoostedTrees {
  readonly numTrees: number
  /** @param numTrees  Of the first trees alone. Default: all. */
  predict(row: ArrayLike<number>, numTrees?: number): number
  /** Mean squared error on the held-out rows by number of trees, from 0 on; empty without such rows. */
  readonly heldOutErrors: readonly number[]
}

/** A tree by node, the root first: at a leaf `feature` is -1. */
interface Tree {
  readonly feature: Int32Array
  readonly threshold: Float64Array
  /** The node below for values up to the threshold; the one for those above it comes next. */
  readonly below: Int32Array
  readonly value: Float64Array
}

/** The columns of the rows, and the rows in ascending order of each. */
interface Columns {
  readonly values: readonly Float64Array[]
  readonly orders: readonly Int32Array[]
}

/** A part of the rows that a node holds. */
interface Part {
  readonly node: number
  readonly orders: readonly Int32Array[]
  readonly sum: number
  readonly split: Split | undefined
}

interface Split {
  readonly gain: number
  readonly feature: number
  readonly threshold: number
}

/**
 * Gradient-boosted regression trees under squared error: from the mean of the targets on, each tree is grown on what is left, leaf by leaf where
 * the error falls most, with exact splits between neighbouring values.
 *
 *   gain = GL^2 / nL + GR^2 / nR - G^2 / n,   leaf = mean residual,   prediction += rate * leaf
 *
 * Equal gains: the smaller column, the larger threshold, the older leaf.
 *
 * @param rows  [n] of [F] finite numbers. @param targets  [n]. @throws {RangeError} without rows.
 * @see Ke et al., LightGBM, NeurIPS 2017: leaf-wise growth; here without histograms.
 */
export function fitBoostedTrees(
  rows: readonly ArrayLike<number>[],
  targets: ArrayLike<number>,
  options: BoostingOptions,
  heldOut?: HeldOut,
): BoostedTrees {
  const numRows = rows.length
  if (numRows === 0 || targets.length !== numRows) {
    throw new RangeError(
      `rows: expected one or more, each with a target, received ${numRows} and ${targets.length}`,
    )
  }
  const columns = columnsOf(rows)
  const base = Array.from(targets).reduce((a, b) => a + b, 0) / numRows
  const left = Float64Array.from(targets, (target) => target - base)
  const tester = heldOut && new HeldOutError(heldOut, base)
  const trees: Tree[] = []
  while (trees.length < options.maxTrees && !tester?.isOver(trees.length)) {
    const { tree, leaves } = growTree(columns, left, options)
    if (leaves.length === 1) break
    for (const { node, orders } of leaves) {
      for (const row of orders[0]!) left[row]! -= tree.value[node]!
    }
    trees.push(tree)
    tester?.add(tree)
  }
  const kept = tester && heldOut!.patience < Infinity ? trees.slice(0, tester.best) : trees
  return {
    numTrees: kept.length,
    predict(row, numTrees = kept.length) {
      let sum = base
      for (let t = 0; t < numTrees; t++) sum += predictTree(kept[t]!, row)
      return sum
    },
    heldOutErrors: tester?.errors ?? [],
  }
}

/** The error on held-out rows as trees are added. */
class HeldOutError {
  readonly errors: number[] = []
  /** Trees with the smallest error. */
  best = 0
  private readonly left: Float64Array

  constructor(
    private readonly heldOut: HeldOut,
    base: number,
  ) {
    this.left = Float64Array.from(heldOut.targets, (target) => target - base)
    this.note()
  }

  add(tree: Tree): void {
    for (const [i, row] of this.heldOut.rows.entries()) this.left[i]! -= predictTree(tree, row)
    this.note()
    if (this.errors.at(-1)! < this.errors[this.best]!) this.best = this.errors.length - 1
  }

  isOver(numTrees: number): boolean {
    return numTrees - this.best >= this.heldOut.patience
  }

  private note(): void {
    this.errors.push(this.left.reduce((sum, e) => sum + e * e, 0) / this.left.length)
  }
}

function columnsOf(rows: readonly ArrayLike<number>[]): Columns {
  const values = Array.from({ length: rows[0]!.length }, (_, f) => Float64Array.from(rows, (row) => row[f]!))
  const orders = values.map((column) =>
    Int32Array.from(rows.keys()).sort((a, b) => column[a]! - column[b]! || a - b),
  )
  return { values, orders }
}

/** One tree on the residuals, its leaves holding what is added to a prediction. */
function growTree(
  columns: Columns,
  residual: Float64Array,
  { maxLeaves, minLeaf, learningRate }: BoostingOptions,
): { readonly tree: Tree; readonly leaves: readonly Part[] } {
  const size = 2 * maxLeaves - 1
  const tree: Tree = {
    feature: new Int32Array(size).fill(-1),
    threshold: new Float64Array(size),
    below: new Int32Array(size),
    value: new Float64Array(size),
  }
  let numNodes = 1
  const partOf = (node: number, orders: readonly Int32Array[]): Part => {
    const sum = orders[0]!.reduce((total, row) => total + residual[row]!, 0)
    return { node, orders, sum, split: bestSplit(columns, orders, sum, residual, minLeaf) }
  }
  const leaves = [partOf(0, columns.orders)]
  while (leaves.length < maxLeaves) {
    const place = bestLeaf(leaves)
    if (place === -1) break
    const { node, orders, split } = leaves[place]!
    const [below, above] = divide(columns, orders, split!)
    tree.feature[node] = split!.feature
    tree.threshold[node] = split!.threshold
    tree.below[node] = numNodes
    leaves[place] = partOf(numNodes, below)
    leaves.push(partOf(numNodes + 1, above))
    numNodes += 2
  }
  for (const { node, sum, orders } of leaves) tree.value[node] = (learningRate * sum) / orders[0]!.length
  return { tree, leaves }
}

/** Two columns that part the same rows gain the same, whatever rounding says: then it is not for rounding to choose. */
const isMore = (gain: number, than: number): boolean => gain - than > 1e-10 * gain

/** Place of the leaf that is worth most to split; -1 when none is. */
function bestLeaf(leaves: readonly Part[]): number {
  let best = -1
  for (const [i, { split }] of leaves.entries()) {
    if (split !== undefined && (best === -1 || isMore(split.gain, leaves[best]!.split!.gain))) best = i
  }
  return best
}

function bestSplit(
  { values }: Columns,
  orders: readonly Int32Array[],
  sum: number,
  residual: Float64Array,
  minLeaf: number,
): Split | undefined {
  const numRows = orders[0]!.length
  let gain = (sum * sum) / numRows
  let found: { readonly feature: number; readonly place: number } | undefined
  for (let feature = 0; feature < orders.length; feature++) {
    const order = orders[feature]!
    const column = values[feature]!
    let above = 0
    for (let place = numRows - 1; place >= minLeaf; place--) {
      above += residual[order[place]!]!
      const count = numRows - place
      if (count < minLeaf || column[order[place - 1]!] === column[order[place]!]) continue
      const below = sum - above
      const own = (below * below) / place + (above * above) / count
      if (isMore(own, gain)) {
        gain = own
        found = { feature, place }
      }
    }
  }
  if (found === undefined) return undefined
  const { feature, place } = found
  const [low, high] = [place - 1, place].map((at) => values[feature]![orders[feature]![at]!]!) as [
    number,
    number,
  ]
  return { gain: gain - (sum * sum) / numRows, feature, threshold: low + (high - low) / 2 }
}

/** The orders of the rows up to the threshold, and of those above it. */
function divide(
  { values }: Columns,
  orders: readonly Int32Array[],
  { feature, threshold }: Split,
): [Int32Array[], Int32Array[]] {
  const column = values[feature]!
  const count = orders[0]!.reduce((n, row) => (column[row]! <= threshold ? n + 1 : n), 0)
  const parts: [Int32Array[], Int32Array[]] = [[], []]
  for (const order of orders) {
    const below = new Int32Array(count)
    const above = new Int32Array(order.length - count)
    let placeBelow = 0
    let placeAbove = 0
    for (let i = 0; i < order.length; i++) {
      const row = order[i]!
      if (column[row]! <= threshold) below[placeBelow++] = row
      else above[placeAbove++] = row
    }
    parts[0].push(below)
    parts[1].push(above)
  }
  return parts
}

function predictTree({ feature, threshold, below, value }: Tree, row: ArrayLike<number>): number {
  let node = 0
  for (let column = feature[0]!; column >= 0; column = feature[node]!) {
    node = below[node]! + (row[column]! <= threshold[node]! ? 0 : 1)
  }
  return value[node]!
}
