import { fill_, Generator, noGrad, normal_ } from '@adapt-ts/torch'
import type { CausalLM } from './causal-lm.js'
import { drawOnCpu } from './draw-on-cpu.js'

/**
 * Hugging Face's initialisation: every matrix normal with standard deviation `initializer_range`, norms 1, biases 0. Drawn
 * in parameter order from one generator of the CPU, so a seed names one model on every device.
 */
export function initialiseModel(model: CausalLM, seed: number): void {
  const generator = new Generator(seed)
  noGrad(() => {
    for (const [name, parameter] of model.namedParameters()) {
      if (parameter.shape.length >= 2)
        drawOnCpu(parameter, (draws) => normal_(draws, 0, model.config.initializerRange, generator))
      else fill_(parameter, name.endsWith('.bias') ? 0 : 1)
    }
  })
}
