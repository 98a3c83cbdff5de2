/** B rows, T positions, K key/value heads, E head size. */
import { copy_, type Device, type DType, empty, narrow, scope, type Tensor } from '@adapt-ts/torch'
import type { ModelConfig } from '../dimensions/model-config.js'

/** Keys and values of the positions so far, so that a new position costs one column of attention. */
export class KeyValueCache {
  /** Positions that are held. */
  length = 0
  private readonly layers: { readonly key_BTKE: Tensor; readonly value_BTKE: Tensor }[]

  constructor(
    config: ModelConfig,
    readonly maxLength: number,
    {
      rows = 1,
      dtype = 'float32',
      device,
    }: { readonly device: Device; readonly rows?: number; readonly dtype?: DType },
  ) {
    const shape = [rows, maxLength, config.numKeyValueHeads, config.headDim]
    const held = () => empty(shape, { dtype, device }).persist()
    this.layers = Array.from({ length: config.numHiddenLayers }, () => ({
      key_BTKE: held(),
      value_BTKE: held(),
    }))
  }

  /**
   * Takes the keys and values of new positions of one layer; `advance` makes them count.
   * @returns those of the last `window` positions, the new ones included; all without a window. Current scope.
   */
  append(layer: number, key_BTKE: Tensor, value_BTKE: Tensor, window?: number): readonly [Tensor, Tensor] {
    const numNew = key_BTKE.shape[1]!
    const end = this.length + numNew
    // Several new positions look back at each other's windows: the mask cuts those.
    const start = window !== undefined && numNew === 1 ? Math.max(0, end - window) : 0
    const held = this.layers[layer]!
    scope(() => {
      copy_(narrow(held.key_BTKE, 1, this.length, numNew), key_BTKE)
      copy_(narrow(held.value_BTKE, 1, this.length, numNew), value_BTKE)
    })
    return [narrow(held.key_BTKE, 1, start, end - start), narrow(held.value_BTKE, 1, start, end - start)]
  }

  /** Keys and values of all positions of one layer; in the current scope. */
  held(layer: number): readonly [Tensor, Tensor] {
    const { key_BTKE, value_BTKE } = this.layers[layer]!
    return [narrow(key_BTKE, 1, 0, this.length), narrow(value_BTKE, 1, 0, this.length)]
  }

  /** Counts `numNew` positions that every layer has appended. */
  advance(numNew: number): void {
    this.length += numNew
  }

  /** Frees keys and values. */
  dispose(): void {
    for (const { key_BTKE, value_BTKE } of this.layers) {
      key_BTKE.dispose()
      value_BTKE.dispose()
    }
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
