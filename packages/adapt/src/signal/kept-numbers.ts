import { type Tensor, tensor } from '@adapt-ts/torch'

/** float32 numbers of the host that a part of a method keeps between steps, and the tensor in which a checkpoint holds them. */
export class KeptNumbers implements Disposable {
  private held: Tensor | undefined

  /** @param name  Of the tensor in the part's state. */
  constructor(private readonly name: string) {}

  /** What a state holds of them; nothing before the first `keep`. */
  get tensors(): ReadonlyMap<string, Tensor> {
    return new Map(this.held === undefined ? [] : [[this.name, this.held]])
  }

  /** Takes the numbers as they are now. */
  keep(values: Float32Array): void {
    this[Symbol.dispose]()
    this.held = tensor(values, [values.length]).persist()
  }

  /** Goes on from a state. @returns The numbers in it, if it has them. */
  load(tensors: ReadonlyMap<string, Tensor>): Float32Array | undefined {
    const values = tensors.get(this.name)?.toFloat32Array()
    if (values !== undefined) this.keep(values)
    return values
  }

  [Symbol.dispose](): void {
    this.held?.dispose()
    this.held = undefined
  }
}
