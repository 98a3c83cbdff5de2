import vm from 'node:vm'
import { printable } from '../../dataset/index.js'
import { ConfigError, HostileFileError } from '../../errors.js'
import type { LoraConfig } from './lora-config.js'

/** Modules of a model by full name: those that can have an adapter, and the others. */
export interface ModuleNames {
  readonly projections: readonly string[]
  readonly others: readonly string[]
}

/**
 * Full names of the layers that a `target_modules` chooses, by PEFT's rules.
 * @throws {ConfigError} BAD_LORA when no layer, or one that cannot have an adapter, is named. @throws {HostileFileError} PATTERN_BUDGET.
 */
export function chooseTargets(
  { projections, others }: ModuleNames,
  targetModules: LoraConfig['targetModules'],
): ReadonlySet<string> {
  const names = matchingNames(projections, targetModules)
  // Embedding, head, norms and whole blocks have names too; PEFT would adapt or refuse them, so silence would be another
  // adapter than asked for, or one that PEFT does not load.
  const unsupported = matchingNames([...new Set(['lm_head', ...others])], targetModules)
  const shown = JSON.stringify(targetModules)
  if (targetModules !== 'all-linear' && unsupported.length > 0) {
    throw new ConfigError(
      'BAD_LORA',
      `target_modules ${shown}: ${unsupported.slice(0, 2).join(' and ')} cannot have an adapter; name linear layers of the blocks`,
    )
  }
  const known = [...new Set(projections.map((name) => name.split('.').at(-1)!))]
  const unused = Array.isArray(targetModules)
    ? targetModules.filter((target) => matchingNames(names, [target]).length === 0)
    : []
  if (names.length === 0 || unused.length > 0) {
    const what = unused.length > 0 ? unused.map((name) => `"${name}"`).join(', ') : shown
    throw new ConfigError(
      'BAD_LORA',
      `target_modules: ${what} matches no linear layer; this model has ${known.join(', ')}`,
    )
  }
  return new Set(names)
}

/** What adapter_config.json says of the layers that have an adapter. */
export interface LayerChoice {
  readonly targetModules: LoraConfig['targetModules']
  readonly excludeModules: LoraConfig['targetModules'] | undefined
  /** Numbers of layers. Default: all. */
  readonly layers: readonly number[] | undefined
  /** Names of the list of layers. Default: any. */
  readonly layersPattern: readonly string[] | undefined
}

/**
 * Those of `names` that PEFT would give an adapter; undefined for a pattern that only Python understands.
 * @throws {HostileFileError} PATTERN_BUDGET
 */
export function chosenNames(
  names: readonly string[],
  { targetModules, excludeModules, layers, layersPattern }: LayerChoice,
): readonly string[] | undefined {
  try {
    const chosen = matchingNames(names, targetModules)
    const excluded = excludeModules === undefined ? [] : matchingNames(chosen, excludeModules)
    const isWanted = (name: string) => {
      if (layers === undefined) return true
      const [, list, number] = /\.([^.]*)\.(\d+)\./.exec(name) ?? []
      return layers.includes(Number(number)) && (layersPattern ?? [list]).includes(list!)
    }
    return chosen.filter((name) => !excluded.includes(name) && isWanted(name))
  } catch (error) {
    if (error instanceof ConfigError) return undefined
    throw error
  }
}

/** Time of a pattern for all names of a model; an honest one takes less than a thousandth of it. */
const PATTERN_MS = 1000

/**
 * Those of `names` that a `target_modules` names.
 * @throws {ConfigError} BAD_LORA for a pattern that cannot be read. @throws {HostileFileError} PATTERN_BUDGET for one that takes
 *   too long, as `(.+)+!` does.
 */
export function matchingNames(
  names: readonly string[],
  targetModules: LoraConfig['targetModules'],
): readonly string[] {
  if (targetModules === 'all-linear') return names.filter((name) => name !== 'model.embed_tokens')
  if (typeof targetModules === 'string') return namesOfPattern(names, targetModules)
  return names.filter((name) =>
    targetModules.some((target) => name === target || name.endsWith(`.${target}`)),
  )
}

function namesOfPattern(names: readonly string[], pattern: string): readonly string[] {
  const shown = printable(JSON.stringify(pattern), 80)
  try {
    // The pattern may come from a downloaded adapter_config.json, and only another context can be told when to give up.
    const context = { names: [...names], pattern: new RegExp(`^(?:${pattern})$`, 'u') }
    const code = 'names.filter((name) => pattern.test(name))'
    return [...(vm.runInNewContext(code, context, { timeout: PATTERN_MS }) as string[])]
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
      const said = `target_modules or exclude_modules ${shown}: the pattern takes more than ${PATTERN_MS / 1000} s on the names of the layers; rewrite it, or list the layers`
      throw new HostileFileError('PATTERN_BUDGET', said, {}, { cause: error })
    }
    const said = `target_modules ${shown}: not a regular expression (${printable(message, 120)})`
    throw new ConfigError('BAD_LORA', said, {}, { cause: error })
  }
}
