/** B rows, T positions, P positions that are no padding, I inputs, O outputs of a layer. */
import {
  detach,
  indexSelect,
  narrow,
  type nn,
  noGrad,
  reshape,
  scope,
  type Tensor,
  tensor,
} from '@adapt-ts/torch'
import { type ModelInputs, placesOf, stretchesOf } from './model-inputs.js'

/** What a trained linear layer read in a forward and what came back to it: its gradient is gradient_PO^T input_PI. */
export interface TappedLayer {
  /** Of its weight, as in `namedParameters`. */
  readonly name: string
  /** [P, I]; the same tensor for layers that read the same. */
  readonly input_PI: Tensor
  /** [P, O] */
  readonly gradient_PO: Tensor
}

/**
 * Keeps what the trained linear layers of one forward read and give, so that one call of `grad` has the gradients of all outputs: nothing is
 * called from backward. Dispose it when the gradients are there.
 */
export class LinearTaps {
  private readonly kept: {
    readonly weight: nn.Parameter
    readonly input: Tensor
    readonly output: Tensor
  }[] = []

  /** Called by a linear layer: input [..., I] and output [..., O], which is left to the tap. */
  keep(weight: nn.Parameter, input: Tensor, output: Tensor): void {
    if (!weight.requiresGrad) return
    this.kept.push({ weight, input: input.persist(), output: output.persist() })
  }

  /** Outputs of the layers, in the order in which they ran. */
  get outputs(): Tensor[] {
    return this.kept.map(({ output }) => output)
  }

  /**
   * The layers' factors, by name in the order in which they ran, without padding; belong to the current scope.
   * @param named  The model's parameters. @param gradients  One for each of `outputs`.
   */
  layers(
    named: Iterable<[string, nn.Parameter]>,
    inputs: ModelInputs,
    gradients: readonly Tensor[],
  ): TappedLayer[] {
    const nameOf = new Map(Array.from(named, ([name, weight]) => [weight, name]))
    return noGrad(() =>
      scope(() => {
        const place_P = realPlaces(inputs)
        const filling = inputs.dense?.filling ?? 0
        const flat = (x: Tensor): Tensor => {
          const all = reshape(detach(x), [-1, x.shape.at(-1)!])
          if (place_P) return indexSelect(all, 0, place_P)
          return filling > 0 ? narrow(all, 0, 0, all.shape[0]! - filling) : all
        }
        const seen = new Map<Tensor, Tensor>()
        return this.kept.map(({ weight, input }, i): TappedLayer => {
          const input_PI = seen.get(input) ?? flat(input)
          seen.set(input, input_PI)
          return { name: nameOf.get(weight)!, input_PI, gradient_PO: flat(gradients[i]!) }
        })
      }),
    )
  }

  /** Frees what was kept, and with it the graph. */
  [Symbol.dispose](): void {
    for (const { input, output } of this.kept.splice(0)) {
      input.dispose()
      output.dispose()
    }
  }
}

/** Sample of each position that is no padding, row by row as the factors have them: [P]. */
export function sampleOfPositions({ batch }: ModelInputs): Int32Array {
  return Int32Array.from(
    stretchesOf(batch).flatMap(({ length, segment }) => Array<number>(length).fill(segment)),
  )
}

/** Where those positions stand among the computed ones; undefined where they are the first of them. */
function realPlaces({ batch, dense, tokens_BT: { device } }: ModelInputs): Tensor | undefined {
  if (dense) return undefined
  const { rows, length } = batch
  const places = placesOf(stretchesOf(batch), length)
  if (places.length === rows * length) return undefined
  return tensor(places, [places.length], { dtype: 'int64', device })
}
