/** P, Q positions, S, R samples, I inputs and O outputs of a linear layer. */
import {
  add_,
  addmm_,
  cat,
  indexAdd,
  mm,
  mul,
  mul_,
  narrow,
  reshape,
  scope,
  type Tensor,
  tensor,
  toDType,
  transpose,
  zeros,
} from '@adapt-ts/torch'
import type { LinearFactors } from '../method/index.js'

/** Most numbers of a block of position products, or of explicit gradients: 64 MiB. */
const BLOCK_SIZE = 2 ** 24

/** One linear layer's factors of several samples, with the samples that its positions belong to. */
export interface LayerSide {
  /** float32 [P, I] */
  readonly input_PI: Tensor
  /** float32 [P, O] */
  readonly gradient_PO: Tensor
  readonly samples: Stretches
  /** float32 [1, O I]: gradients are multiplied by it, number by number, before they meet. */
  readonly scale?: Tensor
}

/** Where the positions of each of S samples stand. */
export interface Stretches {
  readonly count: number
  readonly sampleOf_P: Int32Array
  /** First position and number of positions of the samples that have any. */
  readonly stretches: readonly { readonly sample: number; readonly start: number; readonly length: number }[]
}

/** Sizes that decide how a product is made, and how large a block may be. */
export interface ProductPlan {
  readonly blockSize?: number
  /** Default: the cheaper one for each layer. */
  readonly way?: 'positions' | 'explicit'
}

/** Layers that read the same tensor, as one layer with more outputs. */
export interface SharedLayer {
  readonly names: readonly string[]
  /** Outputs of each of them. */
  readonly outputs: readonly number[]
  readonly input_PI: Tensor
  readonly gradient_PO: Tensor
}

/** Layers that read the same tensor are one layer with more outputs: the products of their inputs are made once. */
export function sharedInputs({ layers }: LinearFactors): SharedLayer[] {
  const byInput = new Map<Tensor, LinearFactors['layers'][number][]>()
  for (const layer of layers) byInput.set(layer.input_PI, [...(byInput.get(layer.input_PI) ?? []), layer])
  return Array.from(byInput, ([input_PI, members]) => {
    const gradients = members.map(({ gradient_PO }) => gradient_PO)
    return {
      names: members.map(({ name }) => name),
      outputs: gradients.map(({ shape }) => shape[1]!),
      input_PI,
      gradient_PO: gradients.length === 1 ? gradients[0]! : cat(gradients, 1),
    }
  })
}

/** Factors may be in the dtype of autocast; their products are not. */
export const asFloat32 = (x: Tensor): Tensor => (x.dtype === 'float32' ? x : toDType(x, 'float32'))

/** Where samples stand among positions that follow one another sample by sample. */
export function stretchesOf(sampleOf_P: Int32Array, count: number): Stretches {
  const stretches: { sample: number; start: number; length: number }[] = []
  for (const [position, sample] of sampleOf_P.entries()) {
    const last = stretches.at(-1)
    if (last?.sample === sample) last.length += 1
    else stretches.push({ sample, start: position, length: 1 })
  }
  return { count, sampleOf_P, stretches }
}

/** Adds the products of one layer, in the way that needs fewer operations; where gradients are scaled they must be made. */
export function addProducts(total_SR: Tensor, rows: LayerSide, columns: LayerSide, plan: ProductPlan): void {
  const { blockSize = BLOCK_SIZE } = plan
  const P = rows.input_PI.shape[0]!
  const Q = columns.input_PI.shape[0]!
  if (P === 0 || Q === 0) return
  const I = rows.input_PI.shape[1]!
  const O = rows.gradient_PO.shape[1]!
  const inBlock = samplesInBlock(columns, blockSize)
  const [S, R] = [rows.samples.stretches.length, columns.samples.stretches.length]
  const byPositions = P * Q * (I + O + columns.samples.count)
  // The columns' gradients are made anew for each block of rows, but for a block that meets itself.
  const blocks = Math.ceil(S / inBlock)
  const made = rows === columns ? P * blocks : P + Q * blocks
  const explicit = (made + S * R) * I * O
  const way = plan.way ?? (columns.scale === undefined && byPositions <= explicit ? 'positions' : 'explicit')
  if (way === 'positions') addByPositions(total_SR, rows, columns, Math.max(1, Math.floor(blockSize / Q)))
  else addExplicit(total_SR, rows, columns, inBlock)
}

/** sum over t, u of (a_t . a_u)(e_t . e_u), for some positions t at a time. */
function addByPositions(total_SR: Tensor, rows: LayerSide, columns: LayerSide, inBlock: number): void {
  const { device } = total_SR
  const P = rows.input_PI.shape[0]!
  const input_IQ = transpose(columns.input_PI, 0, 1)
  const gradient_OQ = transpose(columns.gradient_PO, 0, 1)
  const belongs_QR = indicator(columns.samples, device)
  const sample_P = tensor(rows.samples.sampleOf_P, [P], { dtype: 'int64', device })
  for (let start = 0; start < P; start += inBlock) {
    const length = Math.min(inBlock, P - start)
    scope(() => {
      const part = (x: Tensor) => narrow(x, 0, start, length)
      const products_CQ = mul(mm(part(rows.input_PI), input_IQ), mm(part(rows.gradient_PO), gradient_OQ))
      const sums_SR = indexAdd(
        zeros(total_SR.shape, { device }),
        0,
        part(sample_P),
        mm(products_CQ, belongs_QR),
      )
      add_(total_SR, sums_SR)
    })
  }
}

/** [Q, R]: 1 where a position belongs to a sample. */
function indicator({ sampleOf_P, count }: Stretches, device: string): Tensor {
  const values = new Float32Array(sampleOf_P.length * count)
  for (const [position, sample] of sampleOf_P.entries()) values[position * count + sample] = 1
  return tensor(values, [sampleOf_P.length, count], { device })
}

/** <E_i^T A_i, E_j^T A_j> for a block of samples i against a block of samples j. */
function addExplicit(total_SR: Tensor, rows: LayerSide, columns: LayerSide, inBlock: number): void {
  const { device } = total_SR
  const ids = (block: Block) =>
    tensor(
      Int32Array.from(block, ({ sample }) => sample),
      [block.length],
      { dtype: 'int64', device },
    )
  for (const [b, block] of blocksOf(rows.samples, inBlock).entries()) {
    scope(() => {
      const row_SG = gradientsOf(rows, block)
      const products = zeros([block.length, total_SR.shape[1]!], { device })
      for (const [c, other] of blocksOf(columns.samples, inBlock).entries()) {
        scope(() => {
          const isItself = rows === columns && b === c
          const column_GR = transpose(isItself ? row_SG : gradientsOf(columns, other), 0, 1)
          add_(products, indexAdd(zeros(products.shape, { device }), 1, ids(other), mm(row_SG, column_GR)))
        })
      }
      add_(total_SR, indexAdd(zeros(total_SR.shape, { device }), 0, ids(block), products))
    })
  }
}

/** Samples whose gradients of this layer make up a block. */
export function samplesInBlock({ input_PI, gradient_PO }: LayerSide, blockSize = BLOCK_SIZE): number {
  return Math.max(1, Math.floor(blockSize / (input_PI.shape[1]! * gradient_PO.shape[1]!)))
}

type Block = Stretches['stretches']

/** Samples in groups of at most `size`. */
export function blocksOf({ stretches }: Stretches, size: number): Block[] {
  return Array.from({ length: Math.ceil(stretches.length / size) }, (_, b) =>
    stretches.slice(b * size, (b + 1) * size),
  )
}

/** The layer's gradient of each sample, scaled and flat: [S, O * I]. */
export function gradientsOf({ input_PI, gradient_PO, scale }: LayerSide, block: Block): Tensor {
  const [I, O] = [input_PI.shape[1]!, gradient_PO.shape[1]!]
  return scope(() => {
    const gradient_SG = zeros([block.length, O * I], { device: input_PI.device })
    for (const [row, { start, length }] of block.entries()) {
      const gradient_OP = transpose(narrow(gradient_PO, 0, start, length), 0, 1)
      const own_OI = reshape(narrow(gradient_SG, 0, row, 1), [O, I])
      addmm_(own_OI, gradient_OP, narrow(input_PI, 0, start, length))
    }
    return scale === undefined ? gradient_SG : mul_(gradient_SG, scale)
  })
}
