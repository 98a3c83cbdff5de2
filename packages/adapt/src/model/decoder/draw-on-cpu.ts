import { copy_, empty, type nn, scope, type Tensor } from '@adapt-ts/torch'

/**
 * Fills a parameter by draws of a generator of the CPU, wherever the parameter is: each kind of device draws other numbers from the same seed.
 * @param draw  Overwrites the tensor that it is given, in the parameter's shape and dtype.
 */
export function drawOnCpu(parameter: nn.Parameter, draw: (target: Tensor) => void): void {
  scope(() => {
    const { device, shape, dtype } = parameter
    const draws = device === 'cpu' ? parameter : empty(shape, { dtype })
    draw(draws)
    if (draws !== parameter) copy_(parameter, draws)
  })
}
