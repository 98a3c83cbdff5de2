/** P, Q positions, S, R samples, I inputs and O outputs of a linear layer. */
import {
  add_,
  cat,
  type Device,
  indexAdd,
  indexSelect,
  matmul,
  mm,
  mul,
  narrow,
  noGrad,
  reshape,
  scope,
  type Tensor,
  tensor,
  toDType,
  transpose,
  zeros,
} from '@adapt-ts/torch'
import { type Evidence, gatherInOrder, type LinearFactors, type StepTools } from '../method/index.js'

/** Most numbers of a block of position products, or of explicit gradients: 64 MiB. */
const BLOCK_SIZE = 2 ** 24

/** One linear layer's factors of several samples, with the samples that its positions belong to. */
interface LayerSide {
  /** float32 [P, I] */
  readonly input_PI: Tensor
  /** float32 [P, O] */
  readonly gradient_PO: Tensor
  readonly samples: Stretches
}

/** Where the positions of each of S samples stand. */
interface Stretches {
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

/**
 * <g_i, g_j> of the gradients of two sets of samples over all trained linear layers, without any of them in memory as a whole:
 *
 *   <g_i, g_j> = sum over layers, t in i, u in j of (a_t . a_u)(e_t . e_u),   a inputs, e output gradients of the layer
 *
 * Layer by layer either as products of positions, masked by sample, or, where samples are long, as products of explicit gradients of a block of
 * samples. Belongs to the current scope.
 *
 * @param rows  Factors whose samples are the rows. @param columns  Of the same layers. @param plan.device  Where all of them are.
 * @returns float32 [S, R]
 * @see Wang et al., GREATS, NeurIPS 2024, section 4: the ghost inner product.
 */
export function ghostProducts(
  rows: LinearFactors,
  numRows: number,
  columns: LinearFactors,
  numColumns: number,
  plan: ProductPlan & { readonly device: Device },
): Tensor {
  const { device } = plan
  const rowSamples = stretchesOf(rows.sampleOf_P, numRows)
  const columnSamples = stretchesOf(columns.sampleOf_P, numColumns)
  return noGrad(() =>
    scope(() => {
      const total_SR = zeros([numRows, numColumns], { device })
      const [left, right] = [sharedInputs(rows), sharedInputs(columns)]
      for (const [l, layer] of left.entries()) {
        scope(() => {
          const row = sideOf(layer, rowSamples)
          addProducts(total_SR, row, sideOf(right[l]!, columnSamples), plan)
        })
      }
      return total_SR
    }),
  )
}

/**
 * <g_i, g_j> of all samples with labels of a step, over all micro-batches and ranks, in the order of its scores. Factors are brought together
 * one layer at a time, and every rank makes a part of the rows; all ranks must call it. Belongs to the current scope.
 *
 * @returns float32 [S, S]
 */
export function stepProducts(
  step: readonly Evidence[],
  { collective, device }: Pick<StepTools, 'collective' | 'device'>,
  plan: ProductPlan = {},
): Tensor {
  return noGrad(() =>
    scope(() => {
      const factors = step.map((evidence) => evidence.factors())
      const samples = gatherSamples(step, factors, collective)
      const layers = factors.map(sharedInputs)
      const numLayers = Math.max(
        ...collective.allGather(tensor([layers[0]?.length ?? 0], [1])).map((n) => n.item()),
      )
      const total_SS = zeros([samples.count, samples.count], { device })
      for (let l = 0; l < numLayers; l++) {
        scope(() => {
          const together = (parts: readonly Tensor[]): Tensor =>
            cat(gatherInOrder(parts.map(asFloat32), collective, { device }).map(({ rows }) => rows))
          const side: LayerSide = {
            input_PI: together(layers.map((list) => list[l]!.input_PI)),
            gradient_PO: together(layers.map((list) => list[l]!.gradient_PO)),
            samples,
          }
          addProducts(total_SS, shareOf(side, collective), side, plan)
        })
      }
      collective.allReduceSum([total_SS])
      return labelledOnly(total_SS, step, collective)
    }),
  )
}

/** Layers that read the same tensor are one layer with more outputs: the products of their inputs are made once. */
function sharedInputs({
  layers,
}: LinearFactors): { readonly input_PI: Tensor; readonly gradient_PO: Tensor }[] {
  const byInput = new Map<Tensor, Tensor[]>()
  for (const { input_PI, gradient_PO } of layers) {
    const gradients = byInput.get(input_PI) ?? []
    gradients.push(gradient_PO)
    byInput.set(input_PI, gradients)
  }
  return Array.from(byInput, ([input_PI, gradients]) => ({
    input_PI,
    gradient_PO: gradients.length === 1 ? gradients[0]! : cat(gradients, 1),
  }))
}

const asFloat32 = (x: Tensor): Tensor => (x.dtype === 'float32' ? x : toDType(x, 'float32'))

const sideOf = (
  { input_PI, gradient_PO }: { readonly input_PI: Tensor; readonly gradient_PO: Tensor },
  samples: Stretches,
): LayerSide => ({ input_PI: asFloat32(input_PI), gradient_PO: asFloat32(gradient_PO), samples })

function stretchesOf(sampleOf_P: Int32Array, count: number): Stretches {
  const stretches: { sample: number; start: number; length: number }[] = []
  for (const [position, sample] of sampleOf_P.entries()) {
    const last = stretches.at(-1)
    if (last?.sample === sample) last.length += 1
    else stretches.push({ sample, start: position, length: 1 })
  }
  return { count, sampleOf_P, stretches }
}

/** Adds the products of one layer, in the way that needs fewer operations. */
function addProducts(total_SR: Tensor, rows: LayerSide, columns: LayerSide, plan: ProductPlan): void {
  const { blockSize = BLOCK_SIZE } = plan
  const P = rows.input_PI.shape[0]!
  const Q = columns.input_PI.shape[0]!
  if (P === 0 || Q === 0) return
  const I = rows.input_PI.shape[1]!
  const O = rows.gradient_PO.shape[1]!
  const inBlock = Math.max(1, Math.floor(blockSize / (I * O)))
  const [S, R] = [rows.samples.stretches.length, columns.samples.stretches.length]
  const byPositions = P * Q * (I + O + columns.samples.count)
  // The columns' gradients are made anew for each block of rows.
  const explicit = (P + Q * Math.ceil(S / inBlock)) * I * O + S * R * I * O
  const way = plan.way ?? (byPositions <= explicit ? 'positions' : 'explicit')
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
  for (const block of blocksOf(rows.samples, inBlock)) {
    scope(() => {
      const row_SG = gradientsOf(rows, block)
      const products = zeros([block.length, total_SR.shape[1]!], { device })
      for (const other of blocksOf(columns.samples, inBlock)) {
        scope(() => {
          const column_GR = transpose(gradientsOf(columns, other), 0, 1)
          add_(products, indexAdd(zeros(products.shape, { device }), 1, ids(other), mm(row_SG, column_GR)))
        })
      }
      add_(total_SR, indexAdd(zeros(total_SR.shape, { device }), 0, ids(block), products))
    })
  }
}

type Block = Stretches['stretches']

function blocksOf({ stretches }: Stretches, size: number): Block[] {
  return Array.from({ length: Math.ceil(stretches.length / size) }, (_, b) =>
    stretches.slice(b * size, (b + 1) * size),
  )
}

/** The layer's gradient of each sample, flat: [S, O * I]. */
function gradientsOf({ input_PI, gradient_PO }: LayerSide, block: Block): Tensor {
  return cat(
    block.map(({ start, length }) => {
      const gradient_OP = transpose(narrow(gradient_PO, 0, start, length), 0, 1)
      return reshape(matmul(gradient_OP, narrow(input_PI, 0, start, length)), [1, -1])
    }),
  )
}

/** Samples of all ranks' positions, counted through the step in global order. */
function gatherSamples(
  step: readonly Evidence[],
  factors: readonly LinearFactors[],
  collective: StepTools['collective'],
): Stretches {
  const asColumn = (values: ArrayLike<number>) => tensor(Float32Array.from(values), [values.length, 1])
  const counts = gatherInOrder(
    step.map(({ batch }) => asColumn([batch.samples.length])),
    collective,
    { device: 'cpu' },
  ).map(({ rows }) => rows.item())
  const positions = gatherInOrder(
    factors.map(({ sampleOf_P }) => asColumn(sampleOf_P)),
    collective,
    { device: 'cpu' },
  ).map(({ rows }) => rows.toFloat32Array())
  const sampleOf: number[] = []
  let first = 0
  for (const [a, part] of positions.entries()) {
    for (const sample of part) sampleOf.push(first + sample)
    first += counts[a]!
  }
  return stretchesOf(Int32Array.from(sampleOf), first)
}

/** The positions of every so many-th sample: this rank's rows. */
function shareOf(side: LayerSide, { rank, worldSize }: StepTools['collective']): LayerSide {
  if (worldSize === 1) return side
  const mine = side.samples.stretches.filter((_, i) => i % worldSize === rank)
  const part = (x: Tensor): Tensor =>
    mine.length === 0 ? narrow(x, 0, 0, 0) : cat(mine.map(({ start, length }) => narrow(x, 0, start, length)))
  const sampleOf = mine.flatMap(({ sample, length }) => Array<number>(length).fill(sample))
  return {
    input_PI: part(side.input_PI),
    gradient_PO: part(side.gradient_PO),
    samples: stretchesOf(Int32Array.from(sampleOf), side.samples.count),
  }
}

/** Rows and columns of the samples that have a score: those with labels. */
function labelledOnly(
  total_SS: Tensor,
  step: readonly Evidence[],
  collective: StepTools['collective'],
): Tensor {
  const flags = gatherInOrder(
    step.map(({ batch: { samples } }) =>
      tensor(
        Float32Array.from(samples, ({ numLabels }) => (numLabels > 0 ? 1 : 0)),
        [samples.length, 1],
      ),
    ),
    collective,
    { device: 'cpu' },
  ).flatMap(({ rows }) => [...rows.toFloat32Array()])
  const kept = [...flags.keys()].filter((i) => flags[i]! > 0)
  if (kept.length === flags.length) return total_SS
  const ids = tensor(Int32Array.from(kept), [kept.length], { dtype: 'int64', device: total_SS.device })
  return indexSelect(indexSelect(total_SS, 0, ids), 1, ids)
}
