import { clone, noGrad, scope, type Tensor } from '@adapt-ts/torch'

/** Tensors that a part keeps between steps, by the names that they have in its state: its own until `dispose`. */
export class KeptTensors<N extends string> {
  private readonly kept = new Map<N, Tensor>()

  constructor(private readonly names: readonly N[]) {}

  get(name: N): Tensor | undefined {
    return this.kept.get(name)
  }

  /** Keeps what `make` gives, which may follow from what was kept before. */
  replace(name: N, make: () => Tensor): void {
    const made = noGrad(() => scope(make)).persist()
    this.kept.get(name)?.dispose()
    this.kept.set(name, made)
  }

  /** Those that there are, in the order of the names. */
  state(): ReadonlyMap<string, Tensor> {
    return new Map(
      this.names.flatMap((name) => {
        const value = this.kept.get(name)
        return value ? [[name, value] as const] : []
      }),
    )
  }

  /** Takes over what `state` gave; tensors are copied. */
  load(tensors: ReadonlyMap<string, Tensor>): void {
    this.dispose()
    for (const name of this.names) {
      const found = tensors.get(name)
      if (found) this.replace(name, () => clone(found))
    }
  }

  dispose(): void {
    for (const value of this.kept.values()) value.dispose()
    this.kept.clear()
  }
}
