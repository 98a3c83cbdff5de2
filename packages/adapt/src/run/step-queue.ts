import { type Batch, layOutRows, type RowCursor, type RowStream } from '../batch/index.js'
import type { RunConfig, StepPlan } from '../config/index.js'
import type { Method } from '../method/index.js'
import type { OrderedData } from '../open/index.js'
import { runLayout } from './run-layout.js'
import type { World } from './world.js'

/** What a step is drawn from. */
export interface DrawParts {
  readonly request: { readonly config: RunConfig }
  readonly world: World
  readonly data: OrderedData
  readonly rows: RowStream
  readonly plan: StepPlan
  readonly built: { readonly method: Method }
}

/** This rank's micro-batches of a step, and its epoch. */
export interface DrawnStep {
  readonly batches: readonly Batch[]
  readonly epoch: number
}

/** The next step in the order of the data, by the shares of the method, or of the samples that it draws. */
export function drawStep({ rows, data, plan, world, built, request }: DrawParts): DrawnStep {
  const { method } = built
  const how = { multipleOf: plan.batchRows, shares: method.shares(), draw: method.draw() }
  const step = rows.next(plan.drawnRows, how)
  return { batches: layOutRows(step.rows, runLayout(request.config, data, world)), epoch: step.epoch }
}

/** The steps of a run in their order; the next one may be drawn before it is wanted. */
export class StepQueue {
  private ahead: { readonly place: RowCursor; readonly take: () => DrawnStep } | undefined

  constructor(private readonly parts: DrawParts) {}

  /** Where the next step begins, whether or not it is drawn already: what a checkpoint holds. */
  get cursor(): RowCursor {
    return this.ahead?.place ?? this.parts.rows.cursor
  }

  /** @throws what reading the data throws, also where it was read ahead. */
  next(): DrawnStep {
    const { ahead } = this
    if (ahead === undefined) return drawStep(this.parts)
    this.ahead = undefined
    return ahead.take()
  }

  /**
   * Draws the next step, unless the method decides what is drawn: it has not seen the step under way.
   * @param step  Completed steps when the next one begins.
   * @returns its micro-batches; none where it is not known or cannot be read, which `next` will say.
   */
  drawAhead(step: number): readonly Batch[] {
    const { rows, built } = this.parts
    if (this.ahead !== undefined || built.method.decidesDraw(step)) return []
    const place = rows.cursor
    try {
      const step = drawStep(this.parts)
      this.ahead = { place, take: () => step }
      return step.batches
    } catch (error) {
      const take = () => {
        throw error
      }
      this.ahead = { place, take }
      return []
    }
  }
}
