import type { nn } from '@adapt-ts/torch'
import { Projection } from './projection.js'

/** All modules inside a module by full name, each before those inside it, in field order. */
export function* namedModules(
  module: nn.Module<never, unknown>,
  prefix = '',
): Generator<[string, nn.Module<never, unknown>]> {
  for (const [name, child] of module.children()) {
    yield [prefix + name, child]
    yield* namedModules(child, `${prefix}${name}.`)
  }
}

/** The linear layers of a model's blocks by full name, such as `model.layers.0.self_attn.q_proj`, in field order. */
export function* namedProjections(module: nn.Module<never, unknown>): Generator<[string, Projection]> {
  for (const [name, child] of namedModules(module)) if (child instanceof Projection) yield [name, child]
}
