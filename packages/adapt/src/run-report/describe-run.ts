import type { RunConfig } from '../config/index.js'
import type { StepRecord } from '../record/index.js'
import type { ReportEvaluation, ReportRun } from '../report/index.js'

/** A method in one line for people. */
export function describeMethod({ method }: RunConfig): string {
  const { signal, gate } = method
  const parts: string[] = [method.preset]
  if (signal.kind === 'model-embedding')
    parts.push(`${signal.center ? 'centred, ' : ''}refresh every ${signal.refresh_every}`)
  if (gate.kind === 'sigmoid' || gate.kind === 'softmax') parts.push(`temperature ${gate.temperature}`)
  if (gate.kind === 'calibrated-sigmoid') parts.push(`calibrated to ESS ${gate.ess}`)
  if (signal.kind === 'custom') parts.push(`signal ${signal.name}`)
  if (gate.kind === 'custom') parts.push(`gate ${gate.name}`)
  if (signal.kind === 'random') parts.push('random scores')
  if (signal.kind === 'source') {
    const table = Object.entries(signal.table).map(([source, score]) => `${source} ${score}`)
    parts.push([...table, `other sources ${signal.default}`].join(', '))
  }
  if (method.shuffle) parts.push('weights shuffled')
  if (method.collapse) parts.push('mean weight per source')
  return parts.join(' · ')
}

/** One run as the report shows it. */
export function toReportRun(
  name: string,
  config: RunConfig,
  steps: readonly StepRecord[],
  evaluations: readonly ReportEvaluation[],
): ReportRun {
  const { training, data } = config
  return {
    name,
    method: describeMethod(config),
    config: {
      seed: training.seed,
      learning_rate: training.learning_rate,
      lr_scheduler_type: training.lr_scheduler_type,
      max_length: data.max_length,
      packing: data.packing,
      batch_size: training.per_device_train_batch_size * training.gradient_accumulation_steps,
      steps: steps.length,
    },
    steps,
    evaluations,
    summary: {},
  }
}
