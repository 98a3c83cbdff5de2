import { add, copy_, mm, mul, noGrad, scope, toDType } from '@adapt-ts/torch'
import type { CausalLM } from '../decoder/causal-lm.js'
import { namedProjections } from '../decoder/named-projections.js'

/**
 * Folds the adapters into the weights, W <- W + s B A, and removes them. The sum is made in float32 and rounded once
 * to the dtype of W. All parameters stay frozen.
 */
export function mergeLora(model: CausalLM): void {
  noGrad(() => {
    for (const [, projection] of namedProjections(model)) {
      const { lora, weight } = projection
      if (!lora) continue
      scope(() => {
        const delta = mul(mm(lora.B, lora.A), lora.scaling)
        copy_(
          weight,
          weight.dtype === 'float32' ? add(weight, delta) : add(toDType(weight, 'float32'), delta),
        )
      })
      projection.lora = undefined
      lora.dispose()
    }
  })
  model.lora = undefined
}
