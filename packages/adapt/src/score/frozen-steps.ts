/** S samples of a micro-batch. */
import { distributed, scope } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { Method, StepOutcome, StepTools } from '../method/index.js'
import { readTogether } from '../method/read-together.js'
import { type Eyes, missingModel } from './eyes.js'

const NOTHING: StepOutcome['samples'] = {
  index: new Float64Array(0),
  labels: new Float64Array(0),
  score: new Float64Array(0),
  weight: new Float64Array(0),
  loss: new Float64Array(0),
}

/** What a method made of one sample. */
export interface WeighedSample {
  /** Dense index. */
  readonly index: number
  readonly score: number
  /** 0 for a sample that it would not train. */
  readonly weight: number
}

/** What the steps work on. */
export interface FrozenContext {
  readonly method: Method
  readonly eyes: Eyes
  readonly anchors: readonly Batch[]
  readonly learningRate: number
  readonly layOut: NonNullable<StepTools['layOut']>
}

/** The steps of a run whose model never changes: a method scores and weighs as it does while training. */
export class FrozenSteps {
  private step = 0

  constructor(private readonly context: FrozenContext) {}

  /** One step that the method learns from, as it does from those of a run: its means, histograms and shares. */
  settle(batches: readonly Batch[]): void {
    scope(() => {
      const tools = this.begin()
      const rows: (WeighedSample & { readonly labels: number; readonly loss: number | undefined })[] = []
      this.weigh(batches, tools, false, (batch, score, weight, loss) => {
        batch.samples.forEach(({ index, numLabels: labels }, i) => {
          if (labels > 0) rows.push({ index, score: score[i]!, weight: weight[i]!, labels, loss: loss?.[i] })
        })
      })
      this.context.method.observe(
        {
          step: this.step,
          wasFinite: rows.every(({ score }) => !Number.isNaN(score)),
          samples: {
            index: Float64Array.from(rows, ({ index }) => index),
            labels: Float64Array.from(rows, ({ labels }) => labels),
            score: Float64Array.from(rows, ({ score }) => score),
            weight: Float64Array.from(rows, ({ weight }) => weight),
            get loss() {
              return Float64Array.from(rows, ({ loss }) => loss ?? missingModel())
            },
          },
        },
        tools,
      )
    })
    this.context.method.takeEvents()
  }

  /** Scores and weights of a step that changes nothing in the method. */
  look(batches: readonly Batch[]): WeighedSample[] {
    const found: WeighedSample[] = []
    scope(() => {
      const tools = this.begin()
      this.weigh(batches, tools, true, (batch, score, weight) => {
        batch.samples.forEach(({ index, numLabels }, i) => {
          found.push({ index, score: score[i]!, weight: numLabels === 0 ? 0 : weight[i]! })
        })
      }).forEach(({ batch, place, score }) => {
        found.push({ index: batch.samples[place]!.index, score, weight: 0 })
      })
      // What was not finite leaves no trace in a method.
      this.context.method.observe({ step: this.step, wasFinite: false, samples: NOTHING }, tools)
    })
    this.context.method.takeEvents()
    return found
  }

  private begin(): StepTools {
    const { method, eyes, anchors, learningRate, layOut } = this.context
    const tools: StepTools = {
      collective: distributed.singleProcess,
      device: eyes.device,
      step: this.step,
      learningRate,
      anchors,
      look: (batch) => eyes.look(batch),
      charge: () => 0,
      layOut,
    }
    this.step += 1
    method.beforeStep(tools)
    return tools
  }

  /** @param isCheap  Whether scores that were made by forwards of their own are enough. */
  private weigh(
    batches: readonly Batch[],
    tools: StepTools,
    isCheap: boolean,
    take: (batch: Batch, score: Float32Array, weight: Float32Array, loss: Float32Array | undefined) => void,
  ) {
    const { method, eyes } = this.context
    const plan = method.plan(batches, tools)
    for (const [i, batch] of plan.batches.entries()) {
      const values = scope(() => {
        const evidence = isCheap && plan.scoredTokens > 0 ? eyes.glance(batch) : eyes.look(batch)
        const { score_S, weight_S } = plan.weigh(i, evidence)
        return readTogether([
          score_S,
          weight_S,
          ...(isCheap || !eyes.hasModel ? [] : [evidence.sampleLoss_S()]),
        ])
      })
      take(batch, values[0]!, values[1]!, values[2])
    }
    return plan.dropped
  }
}
