import { Generator, noGrad, uniform_ } from '@adapt-ts/torch'
import { ConfigError } from '../../errors.js'
import type { CausalLM } from '../decoder/causal-lm.js'
import { drawOnCpu } from '../decoder/draw-on-cpu.js'
import { namedModules, namedProjections } from '../decoder/named-projections.js'
import { LoraAdapter } from './lora-adapter.js'
import { assertLoraConfig, type LoraConfig } from './lora-config.js'
import { chooseTargets, matchingNames } from './target-modules.js'

/**
 * Freezes a model and puts adapters beside the linear layers that `targetModules` names. A is uniform within
 * 1 / sqrt(in) and B zero, as in PEFT, so that the model computes what it did. Equal seeds give equal adapters on every device.
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
      drawOnCpu(lora.A, (draws) => uniform_(draws, -bound, bound, generator))
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

/**
 * Whether a `target_modules` chooses just these layers; not so for a pattern that only Python understands.
 * @throws {HostileFileError} PATTERN_BUDGET
 */
export function choosesLayers(
  model: CausalLM,
  targetModules: LoraConfig['targetModules'],
  layers: ReadonlySet<string>,
): boolean {
  const names = [...namedProjections(model)].map(([name]) => name)
  try {
    const chosen = matchingNames(names, targetModules)
    return chosen.length === layers.size && chosen.every((name) => layers.has(name))
  } catch (error) {
    if (error instanceof ConfigError) return false
    throw error
  }
}

/** Whether the adapters of a model are those that a config asks for; their weights are not looked at. */
export function hasLora(model: CausalLM, config: LoraConfig): boolean {
  const { lora } = model
  const isSame = (['r', 'loraAlpha', 'loraDropout', 'useRslora'] as const).every(
    (key) => lora?.[key] === config[key],
  )
  const layers = [...namedProjections(model)]
    .filter(([, projection]) => projection.lora)
    .map(([name]) => name)
  return isSame && choosesLayers(model, config.targetModules, new Set(layers))
}

/** Full names of the layers that a `target_modules` chooses. @throws {ConfigError} BAD_LORA */
function targetsOf(model: CausalLM, targetModules: LoraConfig['targetModules']): ReadonlySet<string> {
  const projections = [...namedProjections(model)].map(([name]) => name)
  const isProjection = new Set(projections)
  const others = [...namedModules(model)].map(([name]) => name).filter((name) => !isProjection.has(name))
  return chooseTargets({ projections, others }, targetModules)
}
