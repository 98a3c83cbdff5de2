import type { nn } from '@adapt-ts/torch'
import { Projection } from './projection.js'

/** The linear layers of a model's blocks by full name, such as `model.layers.0.self_attn.q_proj`, in field order. */
export function* namedProjections(
  module: nn.Module<never, unknown>,
  prefix = '',
): Generator<[string, Projection]> {
  for (const [name, child] of module.children()) {
    if (child instanceof Projection) yield [prefix + name, child]
    else yield* namedProjections(child, `${prefix}${name}.`)
  }
}
