import { type Device, noGrad, scope, type Tensor, tensor } from '@adapt-ts/torch'

/** Numbers of a state that live where they are used, so that a step which changes them need not wait for the device. float64. */
export class DeviceNumbers implements Disposable {
  private held: Tensor | undefined

  /** @param values  On the host until they are used. */
  constructor(private values: readonly number[]) {}

  /** float64 [n] on `device`; stays the owner's. */
  on(device: Device): Tensor {
    this.held ??= scope(() =>
      tensor(Float64Array.from(this.values), [this.values.length], { device }),
    ).persist()
    return this.held
  }

  /** Takes other numbers, float64 [n], which `make` may derive from those that are there. */
  replace(make: () => Tensor): void {
    const next = noGrad(() => scope(make)).persist()
    this.held?.dispose()
    this.held = next
  }

  /** Waits for the device. */
  toArray(): number[] {
    return this.held ? [...this.held.toFloat64Array()] : [...this.values]
  }

  /** Frees what is on the device. The numbers cannot be used afterwards. */
  [Symbol.dispose](): void {
    this.held?.dispose()
    this.held = undefined
  }
}
