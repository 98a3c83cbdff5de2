import { isDeepStrictEqual } from 'node:util'
import type { MethodConfig, PartConfig } from '../method/method-config.js'
import { partsOf } from './method-parts.js'
import type { MethodId } from './registry.js'
import { resolveMethod } from './resolve-method.js'

/** A method on one line for people: its id, what it does, and what is set otherwise than its id says. */
export function describeMethod(config: MethodConfig): string {
  const { definition, signal, gate } = partsOf(config)
  const own: MethodConfig = resolveMethod({ preset: config.preset as MethodId }, () => {})
  const isOwn = signal === definition.signal && gate === definition.gate
  const parts = [isOwn ? `${config.preset}: ${definition.about}` : config.preset]
  if (signal !== definition.signal) parts.push(`signal ${signal.kind}`)
  parts.push(...differences(config.signal, own.signal, 'signal'))
  if (gate !== definition.gate) parts.push(`gate ${gate.kind}`)
  parts.push(...differences(config.gate, own.gate, 'gate'))
  if (config.apply !== definition.apply) parts.push(`apply ${config.apply}`)
  if (config.shuffle) parts.push('weights shuffled')
  if (config.collapse) parts.push(`mean weight per ${config.collapse}`)
  return parts.join(' · ')
}

/** Options that are not those of the preset, or, of another kind, not the kind's own. */
function differences(part: PartConfig, preset: PartConfig, name: 'signal' | 'gate'): string[] {
  const base: PartConfig =
    part.kind === preset.kind
      ? preset
      : resolveMethod({ [name]: { kind: part.kind } } as never, () => {})[name]
  return Object.entries(part)
    .filter(([key, value]) => !isDeepStrictEqual(value, base[key]))
    .map(([key, value]) => `${key} ${showValue(value)}`)
}

function showValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return value.map(showValue).join(' ')
  return Object.entries(value)
    .map(([key, inner]) => `${key} ${showValue(inner)}`)
    .join(', ')
}
