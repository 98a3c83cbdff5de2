import { type RunEvent, type TaskFigure, taskFigureName, type ValidationFigures } from './run-event.js'
import type { StepRecord } from './step-record.js'
import type { Scalar } from './tensorboard-format.js'
import { WEIGHT_PERCENTS } from './weight-stats.js'

/**
 * The figures of an event under the tags they get in TensorBoard; none for events without figures over steps.
 * Names of sources, sets and figures stand in the tags as they are.
 */
export function tensorboardScalars(event: RunEvent): Scalar[] {
  switch (event.type) {
    case 'step':
      return stepScalars(event)
    case 'evaluation':
      return [
        ...Object.entries(event.sources).flatMap(([set, { bits_per_byte }]) =>
          scalars(`eval/${set}/bits_per_byte`, bits_per_byte),
        ),
        ...(event.validation ? validationScalars(event.validation) : []),
      ]
    case 'tasks':
      return event.figures.flatMap(taskScalars)
    case 'refresh':
      return Object.entries(event.diagnostics).map(([name, value]) => [`anchors/${name}`, value])
    case 'calibration':
      return [
        ['gate/mu', event.mu],
        ['gate/tau', event.tau],
        ['gate/edr', event.edr],
        ['gate/ess_ratio', event.essRatio],
      ]
    case 'policy':
      return sourceScalars('share', event.shares)
    case 'ranks':
      return [
        ['perf/slowest_rank_ms', Math.max(...event.workMs)],
        ['perf/fastest_rank_ms', Math.min(...event.workMs)],
      ]
    default:
      return []
  }
}

function validationScalars({ eval_loss, sources }: ValidationFigures): Scalar[] {
  const bySource = Object.entries(sources).flatMap(([source, { nats_per_token }]) =>
    scalars(`eval_loss/${source}`, nats_per_token),
  )
  return [...scalars('eval/loss', eval_loss), ...bySource]
}

function taskScalars(figure: TaskFigure): Scalar[] {
  const tag = taskFigureName(figure)
  return [[tag, figure.value], ...scalars(`${tag}_stderr`, figure.error)]
}

/** Nothing where nothing was measured. */
function scalars(tag: string, value: number | null): Scalar[] {
  return value === null ? [] : [[tag, value]]
}

function stepScalars(step: StepRecord): Scalar[] {
  return [
    ['train/loss_weighted', step.lossWeighted],
    ['train/loss_unweighted', step.lossUnweighted],
    ['train/grad_norm', step.gradNorm],
    ['train/learning_rate', step.learningRate],
    ['train/epoch', step.epoch],
    ['weights/mean', step.weightMean],
    ['weights/ess_ratio', step.essRatio],
    ...quantileScalars('weights', step.weightQuantiles),
    ['scores/mean', step.scoreMean],
    ['scores/std', step.scoreStd],
    ...quantileScalars('scores', step.scoreQuantiles ?? []),
    ...sourceScalars('mass', step.massBySource),
    ...sourceScalars('relative_weight', relativeWeights(step)),
    ...sourceScalars('weight', step.weightMeanBySource),
    ['perf/tokens_per_second', step.tokensPerSecond],
    ['perf/step_ms', step.stepMs],
    ['perf/signal_ms', step.signalMs],
    ['perf/flops_train', step.flopsTrain],
    ['perf/flops_signal', step.flopsSignal],
  ]
}

/** Mass against what it would be with every weight 1; none for steps without any weight. */
function relativeWeights({ massBySource, uniformMassBySource = {} }: StepRecord): Record<string, number> {
  const isWeighted = Object.values(massBySource).some((mass) => mass > 0)
  const known = Object.entries(uniformMassBySource).filter(([, uniform]) => isWeighted && uniform > 0)
  return Object.fromEntries(known.map(([source, uniform]) => [source, massBySource[source]! / uniform]))
}

/** `q00` to `q100`. */
function quantileScalars(of: string, values: readonly number[]): Scalar[] {
  return values.map((value, i) => [`${of}/q${String(WEIGHT_PERCENTS[i]).padStart(2, '0')}`, value])
}

function sourceScalars(what: string, values: Readonly<Record<string, number>>): Scalar[] {
  return Object.entries(values).map(([source, value]) => [`source/${source}/${what}`, value])
}
