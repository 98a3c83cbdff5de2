import { describeMethod } from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import type { StepRecord } from '../record/index.js'
import type { ReportEvaluation, ReportRun } from '../report/index.js'

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
    method: describeMethod(config.method),
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
