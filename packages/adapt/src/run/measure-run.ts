import { readDocuments } from '../dataset/index.js'
import { type Evaluation, evaluateHeldOut, evaluateText, type HeldOutEvaluation } from '../eval/index.js'
import { lendWeights } from './lend-weights.js'
import type { RunParts } from './run-parts.js'

/** What one evaluation of a run found. */
export interface RunMeasures {
  /** On `evaluation.sets`. */
  readonly evaluation?: Evaluation
  /** On what `data.val_set_size` held out. */
  readonly validation?: HeldOutEvaluation
}

/**
 * Measures the weights that `evaluation.weights` names on the evaluation sets of a run and on the held-out part of its data. Every rank calls
 * it and has its share of the work.
 * @throws {AdaptError} EVALUATION_CANCELLED (exit 75) when the run was asked to stop.
 */
export async function measureRun(parts: RunParts): Promise<RunMeasures> {
  const { request, data, built, stop, plan, world } = parts
  using _weights = lendWeights(built.trainer, request.config.evaluation.weights)
  const { model, step } = built.trainer
  let numBefore = 0
  let numDone = 0
  const onProgress = (count: number) => {
    numDone = numBefore + count
    stop.settle()
    request.onEvaluation?.(numDone, step, plan.totalSteps)
  }
  onProgress(0)
  const options = {
    onProgress,
    batchSize: request.config.evaluation.per_device_eval_batch_size,
    autocastDtype: built.dtype,
    isCancelled: () => stop.requested,
    collective: world.collective,
  }
  const maxLength = request.config.data.max_length
  const evaluation =
    data.evaluationFiles.length === 0
      ? undefined
      : await evaluateText(model, data.tokenizer, readDocuments(data.evaluationFiles), {
          ...options,
          maxLength,
        })
  numBefore = numDone
  const validation =
    data.validation && (await evaluateHeldOut(model, data.tokenizer, data.validation, options))
  return { ...(evaluation ? { evaluation } : {}), ...(validation ? { validation } : {}) }
}

/** A line for each kind of figure. */
export function describeMeasures({ evaluation, validation }: RunMeasures): readonly string[] {
  const lines: string[] = []
  if (validation) {
    const parts = Object.entries(validation.sources).map(
      ([name, { nats_per_token }]) => `${name} ${formatFigure(nats_per_token)}`,
    )
    lines.push(`eval_loss ${formatFigure(validation.eval_loss)}  (${parts.join('  ')})`)
  }
  if (evaluation) {
    const parts = Object.entries(evaluation.sources).map(
      ([name, { bits_per_byte }]) => `${name} ${formatFigure(bits_per_byte)}`,
    )
    lines.push(`bits per byte ${parts.join('  ')}  all ${formatFigure(evaluation.all.bits_per_byte)}`)
  }
  return lines
}

/** A line for each source in which nothing is predicted, so that it has no figures. */
export function unmeasuredSources({ evaluation, validation }: RunMeasures): readonly string[] {
  return [
    ...Object.entries(evaluation?.sources ?? {}).map((entry) => ['evaluation.sets', ...entry] as const),
    ...Object.entries(validation?.sources ?? {}).map((entry) => ['data.val_set_size', ...entry] as const),
  ]
    .filter(([, , { tokens }]) => tokens === 0)
    .map(
      ([key, source, { documents }]) =>
        `${key}: nothing to predict in the ${documents} documents of ${JSON.stringify(source)}, which has no figures`,
    )
}

function formatFigure(value: number | null): string {
  return value === null ? '-' : value.toFixed(4)
}
