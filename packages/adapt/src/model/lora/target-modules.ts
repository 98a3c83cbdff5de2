import { ConfigError } from '../../errors.js'
import type { LoraConfig } from './lora-config.js'

/** Modules of a model by full name: those that can have an adapter, and the others. */
export interface ModuleNames {
  readonly projections: readonly string[]
  readonly others: readonly string[]
}

/**
 * Full names of the layers that a `target_modules` chooses, by PEFT's rules.
 * @throws {ConfigError} BAD_LORA when no layer, or one that cannot have an adapter, is named.
 */
export function chooseTargets(
  { projections, others }: ModuleNames,
  targetModules: LoraConfig['targetModules'],
): ReadonlySet<string> {
  const matches = targetMatcher(targetModules)
  const names = projections.filter(matches)
  // Embedding, head, norms and whole blocks have names too; PEFT would adapt or refuse them, so silence would be another
  // adapter than asked for, or one that PEFT does not load.
  const unsupported = [...new Set(['lm_head', ...others])].filter(matches)
  const shown = JSON.stringify(targetModules)
  if (targetModules !== 'all-linear' && unsupported.length > 0) {
    throw new ConfigError(
      'BAD_LORA',
      `target_modules ${shown}: ${unsupported.slice(0, 2).join(' and ')} cannot have an adapter; name linear layers of the blocks`,
    )
  }
  const known = [...new Set(projections.map((name) => name.split('.').at(-1)!))]
  const unused = Array.isArray(targetModules)
    ? targetModules.filter((target) => !names.some(targetMatcher([target])))
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

/** Whether a `target_modules` names a module. @throws {ConfigError} BAD_LORA for a pattern that cannot be read. */
export function targetMatcher(targetModules: LoraConfig['targetModules']): (name: string) => boolean {
  if (targetModules === 'all-linear') return (name) => name !== 'model.embed_tokens'
  if (typeof targetModules === 'string') {
    try {
      const pattern = new RegExp(`^(?:${targetModules})$`, 'u')
      return (name) => pattern.test(name)
    } catch (error) {
      throw new ConfigError(
        'BAD_LORA',
        `target_modules ${JSON.stringify(targetModules)}: not a regular expression (${(error as Error).message})`,
        {},
        { cause: error },
      )
    }
  }
  return (name) => targetModules.some((target) => name === target || name.endsWith(`.${target}`))
}
