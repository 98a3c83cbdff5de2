/** P positions, S samples, V anchors, I inputs and O outputs of a linear layer. */
import {
  add,
  add_,
  clamp,
  div,
  eq,
  full,
  indexAdd,
  mean,
  mm,
  mul,
  noGrad,
  scope,
  sqrt,
  sub,
  sum,
  type Tensor,
  tensor,
  transpose,
  where,
  zeros,
} from '@adapt-ts/torch'
import { excerptSamples, selectSamples } from '../batch/index.js'
import {
  defineSignal,
  type Evidence,
  type OptimizerView,
  type OptionsOf,
  oneOf,
  real,
  type Signal,
  type StepFacts,
  usedWith,
  whole,
} from '../method/index.js'
import { CountSketch } from './count-sketch.js'
import { drawAnchors } from './draw-anchors.js'
import { countTokens } from './embed-anchors.js'
import { asFloat32 } from './ghost-products.js'
import { type StepProductPlan, stepProducts } from './step-products.js'

/** Backward and forward are three forwards: 6N FLOPs per token. */
const FORWARDS = 3

const isPreconditioned: (others: Readonly<Record<string, unknown>>) => boolean = ({ precondition }) =>
  precondition === 'adamw'

const OPTIONS = {
  validation: whole({ min: 1 }, 8, 'Anchors that are drawn anew in every step'),
  anchorDraw: oneOf(
    ['step', 'once'],
    'step',
    'step: other anchors in every step; once: the same in all of them',
  ),
  scoreLength: whole(
    { min: 1 },
    512,
    'Tokens of a sample that are scored: a window at random of a longer one; of anchors the first ones',
  ),
  precondition: oneOf(
    ['adamw', 'none'],
    'adamw',
    "adamw: gradients as the optimiser's second moments divide them; none: as they are",
  ),
  floor: usedWith(
    'precondition: adamw',
    isPreconditioned,
    real({ min: 0, max: 1 }, 1e-4, "Smallest second moment, as a share of its layer's mean"),
  ),
  sketch: whole(
    { min: 0, max: 2 ** 20 },
    0,
    'Numbers that stand for the gradient of a layer where samples are compared with each other; 0: all of it',
  ),
}

type Options = OptionsOf<typeof OPTIONS>

/**
 * How far the optimiser's own update, made of one sample, would lower the loss of a few anchors, and what two samples' updates have in common:
 *
 *   s_i  = sum over layers of c <D o G_i, mean over v of G_v>,   S_ij = sum over layers of c^2 <D o G_i, D o G_j>
 *   D = 1 / (sqrt(v) + eps),   c = C / sqrt(I O),   C = lr (1 - b1) sqrt(1 - b2^t) / (1 - b1^t)
 *
 * G the gradient of the sample's mean loss, v AdamW's second moments as they are, t their updates. The anchors' gradient is one matrix a layer, so that
 * s costs one product a layer and makes no gradient of a sample. A layer that was never updated counts as 0.
 *
 * @see OPUS, arXiv 2602.05400. Deviations: the floor of v; s is exact where S is sketched.
 */
export class UpdateAlignment implements Signal {
  /** C D o mean of the anchors' G by layer: float32 [O, I]. */
  private readonly target = new Map<string, Tensor>()
  private readonly sketch: CountSketch | undefined

  constructor(
    private readonly options: Options,
    seed: number,
  ) {
    this.sketch = options.sketch > 0 ? new CountSketch(options.sketch, seed) : undefined
  }

  beforeStep(facts: StepFacts): void {
    this.forget()
    const { validation, anchorDraw, scoreLength } = this.options
    const places = drawAnchors(anchorDraw === 'once' ? { ...facts, step: 0 } : facts, validation)
    const batch = excerptSamples(selectSamples(facts.anchors, places), scoreLength, (_, [first]) => first!)
    facts.charge(FORWARDS * countTokens([batch]))
    const scaleOf = this.scaleIn(facts)
    noGrad(() =>
      scope(() => {
        for (const { name, input_PI, gradient_PO } of facts.look(batch).factors().layers) {
          const target_OI = scope(() => {
            const gradient_OI = mm(transpose(asFloat32(gradient_PO), 0, 1), asFloat32(input_PI))
            const [outputs, inputs] = gradient_OI.shape as [number, number]
            const scale = scaleOf?.(name, outputs, inputs) ?? facts.learningRate
            return mul(mul(gradient_OI, 1 / places.length), scale)
          })
          this.target.set(name, target_OI.persist())
        }
      }),
    )
  }

  score(evidence: Evidence, { device }: StepFacts): Tensor {
    const { layers, sampleOf_P } = evidence.factors()
    return noGrad(() =>
      scope(() => {
        const total_P = zeros([sampleOf_P.length], { device })
        for (const { name, input_PI, gradient_PO } of layers) {
          scope(() => {
            const through_PO = mm(asFloat32(input_PI), transpose(this.target.get(name)!, 0, 1))
            add_(total_P, sum(mul(through_PO, asFloat32(gradient_PO)), 1))
          })
        }
        const sample_P = tensor(sampleOf_P, [sampleOf_P.length], { dtype: 'int64', device })
        return indexAdd(zeros([evidence.batch.samples.length], { device }), 0, sample_P, total_P)
      }),
    )
  }

  interactions(step: readonly Evidence[], facts: StepFacts): Tensor {
    const { sketch } = this
    const scale = this.scaleIn(facts)
    return noGrad(() =>
      scope(() => {
        if (scale !== undefined) return stepProducts(step, facts, { scale, sketch })
        return mul(stepProducts(step, facts, { sketch }), facts.learningRate ** 2)
      }),
    )
  }

  /** c D of a layer, float32 [O, I]; undefined where all gradients are taken the learning rate times. */
  private scaleIn({ learningRate, optimizer, device }: StepFacts): StepProductPlan['scale'] {
    const { precondition, floor } = this.options
    if (precondition === 'none') return undefined
    return (name, outputs, inputs) => {
      const moment = optimizer?.secondMoment(name)
      if (optimizer === undefined || moment === undefined || moment.updates === 0) {
        return zeros([outputs, inputs], { device })
      }
      const factor = updateFactor(optimizer, moment.updates, learningRate) / Math.sqrt(outputs * inputs)
      return scope(() => mul(divisors(moment.value, floor, optimizer.epsilon), factor))
    }
  }

  private forget(): void {
    for (const one of this.target.values()) one.dispose()
    this.target.clear()
  }

  dispose(): void {
    this.forget()
    this.sketch?.[Symbol.dispose]()
  }
}

/** C: how much of a gradient AdamW's next update takes, apart from the second moments. */
export function updateFactor(
  { beta1, beta2 }: Pick<OptimizerView, 'beta1' | 'beta2'>,
  updates: number,
  learningRate: number,
): number {
  return (learningRate * (1 - beta1) * Math.sqrt(1 - beta2 ** updates)) / (1 - beta1 ** updates)
}

/**
 * D = 1 / (sqrt(v) + eps), v no smaller than `floor` times its mean: a number that was hardly ever updated would count for all others together.
 * 0 throughout where v is. Belongs to the current scope.
 */
export function divisors(second: Tensor, floor: number, epsilon: number): Tensor {
  return noGrad(() =>
    scope(() => {
      const least = mul(mean(second), floor)
      const floored = add(clamp(sub(second, least), 0, null), least)
      const divided = div(full([], 1, { device: second.device }), add(sqrt(floored), epsilon))
      const isUnused = eq(mean(second), 0)
      return where(isUnused, zeros([], { device: second.device }), divided)
    }),
  )
}

/** Signal of OPUS. */
export const updateAlignment = defineSignal({
  kind: 'update-alignment',
  about: "how far the optimiser's own update on the sample would lower the loss of a few anchors",
  unit: 'sample',
  interactions: true,
  options: OPTIONS,
  needs: ({ scoreLength, precondition }) => ({
    ...{ anchors: true, factors: true, tokenLosses: true, window: scoreLength },
    ...(precondition === 'none' ? {} : { moments: true }),
  }),
  create: (options, { seed }) => new UpdateAlignment(options, seed),
  cost: ({ validation, scoreLength }, { params, steps, tokensPerAnchor, anchors }) => ({
    preparation: 0,
    signal: 6 * params * steps * Math.min(validation, anchors) * Math.min(scoreLength, tokensPerAnchor),
  }),
})
