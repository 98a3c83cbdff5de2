import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { partsOf } from '../catalog/index.js'
import {
  type Environment,
  loadConfig,
  parseConfigText,
  type RunConfig,
  renderResolvedConfig,
} from '../config/index.js'
import { ConfigError } from '../errors.js'

/** The config of a recorded run, and the same with assignments over its gate. */
export interface WhatIfConfigs {
  readonly recorded: RunConfig
  readonly changed: RunConfig
}

/**
 * Applies `--set` assignments to a run's own config and checks that a ledger can answer them: the gate, a preset with
 * the same signal, the normaliser.
 *
 * @throws {ConfigError} NOT_A_RUN, INVALID_CONFIG, NOT_DERIVABLE with what cannot be derived and why.
 */
export async function loadWhatIfConfigs(
  runFolder: string,
  set: readonly string[],
  env: Environment = process.env,
): Promise<WhatIfConfigs> {
  const file = join(runFolder, 'config.yaml')
  const recorded = await loadRecorded(runFolder, file, env)
  const changed = parseConfigText(renderResolvedConfig(openMethod(recorded, set)), file, { set, env })
  requireSameScores(recorded, changed, set)
  return { recorded, changed }
}

async function loadRecorded(runFolder: string, file: string, env: Environment): Promise<RunConfig> {
  try {
    return (await loadConfig(file, { env })).config
  } catch (error) {
    if (!(error instanceof ConfigError && error.code === 'FILE_NOT_FOUND')) throw error
    const message = `what-if: expected a run folder with config.yaml, found none at ${runFolder}`
    throw new ConfigError('NOT_A_RUN', message, { path: runFolder }, { cause: error })
  }
}

/**
 * The recorded config with those parts left to their defaults that an assignment names anew: the options of another
 * gate kind, and under another preset the gate and the signal. A resolved config would hold the old ones against it.
 */
function openMethod(recorded: RunConfig, set: readonly string[]): RunConfig {
  const assigned = new Map(
    set.map((text) => {
      const equals = text.indexOf('=')
      return [text.slice(0, Math.max(0, equals)).trim(), text.slice(equals + 1).trim()]
    }),
  )
  const { gate, signal, ...rest } = recorded.method
  const kind = assigned.get('method.gate.kind') ?? gate.kind
  const kept = assigned.has('method.preset')
    ? rest
    : kind === gate.kind
      ? recorded.method
      : { ...rest, signal }
  // Parts that are missing are filled in when the text is parsed.
  return { ...recorded, method: kept as RunConfig['method'] }
}

function requireSameScores(recorded: RunConfig, changed: RunConfig, set: readonly string[]): void {
  const refuse = (message: string) => {
    throw new ConfigError('NOT_DERIVABLE', `what-if: ${message}`)
  }
  const { method: before, ...others } = recorded
  const { method: after, ...othersAfter } = changed
  if (!isDeepStrictEqual(others, othersAfter)) {
    const foreign = set
      .map((text) => text.split('=')[0]!.trim())
      .find((key) => key.split('.')[0] !== 'method')
    refuse(
      `${foreign} cannot be changed afterwards: a ledger holds scores, so only method.gate, method.normalizer ` +
        'and a preset with the same signal can',
    )
  }
  const control = (['shuffle', 'collapse'] as const).find((name) => before[name] ?? after[name])
  if (control !== undefined) {
    refuse(
      `method.${control} draws on the lengths or sources of the training data, which only a training run has`,
    )
  }
  const key = differingKey(before.signal, after.signal)
  if (key !== undefined) {
    refuse(
      `method.signal.${key} was ${show(before.signal, key)} in this run, not ${show(after.signal, key)}: another ` +
        'signal gives other scores, which only a training run can find out; set method.gate.* to change the gate alone',
    )
  }
  for (const method of [before, after]) {
    const { unit, apply } = partsOf(method)
    if (unit === 'sample' && apply === 'loss') continue
    refuse(
      `method ${method.preset} weighs a ${unit} with apply "${apply}"; a ledger holds what can be weighed again of methods that scale the loss of samples`,
    )
  }
  if (before.signal.kind === 'constant') {
    refuse(
      'this run measured nothing (signal constant): all scores are 1, so every gate gives every sample the same weight',
    )
  }
}

function differingKey(a: object, b: object): string | undefined {
  const [before, after] = [a as Record<string, unknown>, b as Record<string, unknown>]
  return Object.keys({ ...before, ...after }).find((key) => !isDeepStrictEqual(before[key], after[key]))
}

function show(part: object, key: string): string {
  return String((part as Record<string, unknown>)[key] ?? 'not set')
}
