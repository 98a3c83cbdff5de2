/** P positions, S samples of a step, I inputs and O outputs of a linear layer, M numbers of a sketch. */
import {
  add_,
  cat,
  indexSelect,
  mm,
  narrow,
  noGrad,
  reshape,
  scope,
  type Tensor,
  tensor,
  transpose,
  zeros,
} from '@adapt-ts/torch'
import { type Evidence, gatherInOrder, type LinearFactors, type StepTools } from '../method/index.js'
import {
  addProducts,
  asFloat32,
  blocksOf,
  gradientsOf,
  type LayerSide,
  type ProductPlan,
  type SharedLayer,
  type Stretches,
  samplesInBlock,
  sharedInputs,
  stretchesOf,
} from './ghost-products.js'

/** How the gradients of a step are compared. */
export interface StepProductPlan extends ProductPlan {
  /** What the gradient of a layer is multiplied by, number by number: float32 [O, I]. Default: nothing. */
  readonly scale?: (name: string, outputs: number, inputs: number) => Tensor
  /** Short rows [S, M] in the place of a layer's gradients [S, O I]. Default: the gradients. */
  readonly sketch?: { apply(layer: string, gradient_SG: Tensor): Tensor } | undefined
}

type Tools = Pick<StepTools, 'collective' | 'device'>

/**
 * <g_i, g_j> of all samples with labels of a step, over all micro-batches and ranks and all trained linear layers, in the order of its scores:
 *
 *   <g_i, g_j> = sum over layers, t in i, u in j of (a_t . a_u)(e_t . e_u),   a inputs, e output gradients of the layer
 *
 * of the gradients as they are, or of scaled ones, without any of them in memory as a whole: layer by layer either as products of positions, masked by
 * sample, or, where samples are long or gradients scaled, as products of explicit gradients of a block of samples. Factors are brought together one layer at a time, and every rank that has some makes a part of the rows; of sketches, which are short, every
 * rank makes its own. All ranks must call it. Belongs to the current scope.
 *
 * @returns float32 [S, S]
 * @see Wang et al., GREATS, NeurIPS 2024, section 4: the ghost inner product.
 */
export function stepProducts(step: readonly Evidence[], tools: Tools, plan: StepProductPlan = {}): Tensor {
  const { collective, device } = tools
  return noGrad(() =>
    scope(() => {
      const factors = step.map((evidence) => evidence.factors())
      const samples = gatherSamples(step, factors, collective)
      const layers = factors.map(sharedInputs)
      const numLayers = collective
        .allGather(tensor([layers[0]?.length ?? 0], [1]))
        .map((count) => count.item())
      const total_SS = zeros([samples.count, samples.count], { device })
      const workers = [...numLayers.keys()].filter((rank) => numLayers[rank]! > 0)
      const share = { rank: workers.indexOf(collective.rank), worldSize: workers.length }
      for (let l = 0; l < Math.max(...numLayers); l++) {
        const parts = layers.map((list) => list[l]!)
        scope(() => {
          if (plan.sketch === undefined) addLayer(total_SS, parts, samples, { share, tools, plan })
          else addSketches(total_SS, parts, factors, { tools, plan })
        })
      }
      if (plan.sketch === undefined) collective.allReduceSum([total_SS])
      return labelledOnly(total_SS, step, collective)
    }),
  )
}

interface Layout {
  readonly tools: Tools
  readonly plan: StepProductPlan
}

/** This rank's rows of the products of one layer. */
function addLayer(
  total_SS: Tensor,
  parts: readonly SharedLayer[],
  samples: Stretches,
  {
    share,
    tools: { collective, device },
    plan,
  }: Layout & { readonly share: Pick<Tools['collective'], 'rank' | 'worldSize'> },
): void {
  const together = (of: 'input_PI' | 'gradient_PO'): Tensor => {
    const mine = parts.map((part) => asFloat32(part[of]))
    return cat(gatherInOrder(mine, collective, { device }).map(({ rows }) => rows))
  }
  const [input_PI, gradient_PO] = [together('input_PI'), together('gradient_PO')]
  const [layer] = parts
  if (layer === undefined) return
  const side: LayerSide = { input_PI, gradient_PO, samples, ...scaleOf(layer, plan) }
  addProducts(total_SS, shareOf(side, share), side, plan)
}

/** The products of one layer's sketches, whole on every rank. */
function addSketches(
  total_SS: Tensor,
  parts: readonly SharedLayer[],
  factors: readonly LinearFactors[],
  { tools: { collective, device }, plan }: Layout,
): void {
  const mine = parts.map((layer, a) => {
    const { sampleOf_P } = factors[a]!
    const samples = stretchesOf(sampleOf_P, 0)
    const side: LayerSide = {
      input_PI: asFloat32(layer.input_PI),
      gradient_PO: asFloat32(layer.gradient_PO),
      samples,
      ...scaleOf(layer, plan),
    }
    const blocks = blocksOf(samples, samplesInBlock(side, plan.blockSize))
    return cat(blocks.map((block) => plan.sketch!.apply(layer.names.join(), gradientsOf(side, block))))
  })
  const sketch_SM = cat(gatherInOrder(mine, collective, { device }).map(({ rows }) => rows))
  add_(total_SS, mm(sketch_SM, transpose(sketch_SM, 0, 1)))
}

function scaleOf(
  { names, outputs, input_PI }: SharedLayer,
  { scale }: StepProductPlan,
): { readonly scale?: Tensor } {
  if (scale === undefined) return {}
  const parts = names.map((name, i) => scale(name, outputs[i]!, input_PI.shape[1]!))
  return { scale: reshape(cat(parts), [1, -1]) }
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
function shareOf(
  side: LayerSide,
  { rank, worldSize }: Pick<Tools['collective'], 'rank' | 'worldSize'>,
): LayerSide {
  if (worldSize === 1) return side
  const mine = side.samples.stretches.filter((_, i) => i % worldSize === rank)
  const part = (x: Tensor): Tensor =>
    mine.length === 0 ? narrow(x, 0, 0, 0) : cat(mine.map(({ start, length }) => narrow(x, 0, start, length)))
  const sampleOf = mine.flatMap(({ sample, length }) => Array<number>(length).fill(sample))
  return {
    ...side,
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
