import type { OptionProblem } from '../method/define-method.js'
import type { MethodConfig } from '../method/method-config.js'
import { toSnakeCase } from '../method/option-names.js'
import { idleOptions } from '../method/option-table.js'
import { type MethodParts, partsOf } from './method-parts.js'
import { GATES } from './registry.js'

/** What is wrong with a method, by its key below `method`. */
export interface MethodProblem {
  readonly path: readonly string[]
  /** "expected ..., received ...". */
  readonly message: string
}

/** Whether signal, gate and apply fit together, and what their definitions find wrong in their options; nothing is loaded for it. */
export function checkMethod(config: MethodConfig): readonly MethodProblem[] {
  const parts = partsOf(config)
  const { signal, gate, signalOptions, gateOptions } = parts
  return [
    ...checkFit(parts, config),
    ...checkTrust(parts),
    ...checkForward(parts),
    ...checkRescoring(parts),
    ...named('signal', [
      ...idleOptions(signal.options, signalOptions),
      ...(signal.check?.(signalOptions) ?? []),
    ]),
    ...named('gate', [...idleOptions(gate.options, gateOptions), ...(gate.check?.(gateOptions) ?? [])]),
  ]
}

/** Where the weight only shares out what is read, a sample is scored in the training forward, and in no other. */
function checkForward({ signal, apply, needs }: MethodParts): MethodProblem[] {
  if (apply !== 'sample' || !(needs.factors || needs.ownForward)) return []
  const message = `expected "loss" or "mask" with signal kind "${signal.kind}", which scores in a forward of its own, received "sample"`
  return [{ path: ['apply'], message }]
}

/** What is kept of the pool is decided before training: nobody would ask for newer scores. */
function checkRescoring({ signal, signalOptions, apply }: MethodParts): MethodProblem[] {
  const key = signal.rescores?.(signalOptions)
  if (key === undefined || apply !== 'mask') return []
  const message = `expected scores of before training alone with apply "mask", which decides then what is kept, received ${signalOptions[key]}`
  return [{ path: ['signal', toSnakeCase(key)], message }]
}

/** A gate that waits for a word of trust which never comes would train as `uniform` does. */
function checkTrust({ signal, gate, gateOptions }: MethodParts): MethodProblem[] {
  const key = gate.asksTrust?.(gateOptions)
  if (key === undefined || signal.givesTrust || signal.byCode) return []
  const message = `expected "off" with signal kind "${signal.kind}", which does not say how far its scores can be trusted, received "${gateOptions[key]}"`
  return [{ path: ['gate', toSnakeCase(key)], message }]
}

function named(part: string, problems: readonly OptionProblem[]): MethodProblem[] {
  return problems.map(({ key, message }) => ({ path: [part, toSnakeCase(key)], message }))
}

/** Whether the parts and controls of a method can work together. */
export function checkFit(
  { signal, gate, apply }: Pick<MethodParts, 'signal' | 'gate' | 'apply'>,
  config: Pick<MethodConfig, 'shuffle' | 'collapse' | 'normalizer'>,
): MethodProblem[] {
  const problems: MethodProblem[] = []
  const report = (path: string[], message: string) => problems.push({ path, message })
  if (config.shuffle && config.collapse) {
    report(['collapse'], 'expected one control, shuffle or collapse, received both')
  }
  if (!gate.units.includes(signal.unit)) {
    const fitting = [...GATES.values()].filter(({ units }) => units.includes(signal.unit))
    const kinds = fitting.map(({ kind }) => `"${kind}"`).join(', ')
    report(
      ['gate', 'kind'],
      `expected a gate for the scores of signal "${signal.kind}", one a ${signal.unit} (${kinds}), received "${gate.kind}", which weighs a score a ${gate.units.join(' or ')}`,
    )
  } else if (!gate.applies.includes(apply)) {
    const fitting = gate.applies.map((name) => `"${name}"`).join(' or ')
    report(['apply'], `expected ${fitting} with gate kind "${gate.kind}", received "${apply}"`)
  } else if (signal.unit === 'token' && apply !== 'loss') {
    report(
      ['apply'],
      `expected "loss" with signal kind "${signal.kind}", which scores tokens, received "${apply}"`,
    )
  } else if (gate.interactions === true && signal.interactions !== true) {
    report(
      ['gate', 'kind'],
      `expected a gate for scores alone, received "${gate.kind}", which weighs what samples do to each other; signal kind "${signal.kind}" does not measure that`,
    )
  }
  if (gate.divides && config.normalizer !== undefined) {
    const expected = `expected none with gate kind "${gate.kind}", which says itself what the loss is divided by`
    report(['normalizer'], `${expected}, received "${config.normalizer}"`)
  }
  const control = config.shuffle ? 'shuffle' : config.collapse ? 'collapse' : undefined
  if (control !== undefined && (signal.unit !== 'sample' || apply !== 'loss')) {
    report(
      [control],
      `expected a method that weighs the loss of samples, received one that weighs a ${signal.unit} with apply "${apply}"`,
    )
  }
  return problems
}
