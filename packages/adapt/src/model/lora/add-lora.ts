import { Generator, noGrad, uniform_ } from '@adapt-ts/torch'
import { ConfigError } from '../../errors.js'
import type { CausalLM } from '../causal-lm.js'
import { namedModules, namedProjections } from '../named-projections.js'
import type { Projection } from '../projection.js'
import { LoraAdapter } from './lora-adapter.js'
import { assertLoraConfig, type LoraConfig } from './lora-config.js'

/**
 * Freezes a model and puts adapters beside the linear layers that `targetModules` names. A is uniform within
 * 1 / sqrt(in) and B zero, as in PEFT, so that the model computes what it did. Equal seeds give equal adapters.
 *
 * @throws {ConfigError} BAD_LORA for values out of range, or when no layer or one without an adapter is named.
 */
export function addLora(model: CausalLM, config: LoraConfig, seed: number): void {
  attachAdapters(model, config, targetsOf(model, config.targetModules))
  const generator = new Generator(seed)
  noGrad(() => {
    for (const [, { lora }] of namedProjections(model)) {
      if (!lora) continue
      const bound = 1 / Math.sqrt(lora.A.shape[1]!)
      uniform_(lora.A, -bound, bound, generator)
    }
  })
}

/** Freezes a model and gives the named layers adapters of zeros. Field order decides their numbers. */
export function attachAdapters(model: CausalLM, config: LoraConfig, targets: ReadonlySet<string>): void {
  assertLoraConfig(config, 'lora')
  if (model.lora !== undefined) throw new ConfigError('BAD_LORA', 'lora: the model has adapters already')
  for (const parameter of model.parameters()) parameter.setRequiresGrad(false)
  let number = 0
  for (const [name, projection] of namedProjections(model)) {
    if (!targets.has(name)) continue
    const [outFeatures, inFeatures] = projection.weight.shape as [number, number]
    projection.lora = new LoraAdapter(inFeatures, outFeatures, config, number++, model.device)
    projection.lora.train(projection.training)
  }
  model.lora = config
}

/** Whether a `target_modules` chooses just these layers; not so for a pattern that only Python understands. */
export function choosesLayers(
  model: CausalLM,
  targetModules: LoraConfig['targetModules'],
  layers: ReadonlySet<string>,
): boolean {
  try {
    const matches = matcherOf(targetModules)
    return [...namedProjections(model)].every(([name]) => matches(name) === layers.has(name))
  } catch {
    return false
  }
}

/** Full names of the layers that a `target_modules` chooses, by PEFT's rules. */
function targetsOf(model: CausalLM, targetModules: LoraConfig['targetModules']): Set<string> {
  const projections = new Map<string, Projection>(namedProjections(model))
  const matches = matcherOf(targetModules)
  const names = [...projections.keys()].filter(matches)
  // Embedding, head, norms and whole blocks have names too; PEFT would adapt or refuse them, so silence would be another
  // adapter than asked for, or one that PEFT does not load.
  const others = [...namedModules(model)].filter(([name]) => !projections.has(name)).map(([name]) => name)
  const unsupported = [...new Set(['lm_head', ...others])].filter(matches)
  const shown = JSON.stringify(targetModules)
  if (targetModules !== 'all-linear' && unsupported.length > 0) {
    throw new ConfigError(
      'BAD_LORA',
      `target_modules ${shown}: ${unsupported.slice(0, 2).join(' and ')} cannot have an adapter; name linear layers of the blocks`,
    )
  }
  const known = [...new Set([...projections.keys()].map((name) => name.split('.').at(-1)!))]
  const unused = Array.isArray(targetModules)
    ? targetModules.filter((target) => !names.some(matcherOf([target])))
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

function matcherOf(targetModules: LoraConfig['targetModules']): (name: string) => boolean {
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
