import { InvalidArgumentError } from 'commander'

/** Parser of an option that takes a whole number of at least `min`. */
export function wholeNumberOption(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`Expected a whole number >= ${min}.`)
    }
    return value
  }
}

/** Parser of an option that may be given several times. */
export function collectOption(text: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), text]
}
