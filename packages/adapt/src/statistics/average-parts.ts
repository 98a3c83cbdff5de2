/** A mean over some items, and its standard error. */
export interface Part {
  readonly value: number
  /** Undefined where there is none. */
  readonly error: number | undefined
  /** Items. */
  readonly size: number
}

/**
 * Mean of means, by their items or each alike, and its standard error: pooled over all items, or of a mean of independent means.
 */
export function averageParts(parts: readonly Part[], isWeighted: boolean): Omit<Part, 'size'> {
  const weights = parts.map(({ size }) => (isWeighted ? size : 1))
  const value = sum(parts.map((part, i) => part.value * weights[i]!)) / sum(weights)
  if (parts.some(({ error }) => error === undefined)) return { value, error: undefined }
  if (!isWeighted) {
    return { value, error: Math.sqrt(sum(parts.map(({ error }) => error! ** 2))) / parts.length }
  }
  const total = sum(weights)
  const pooled = sum(parts.map(({ error, size }) => (size - 1) * error! ** 2 * size)) / (total - parts.length)
  return { value, error: Math.sqrt(pooled / total) }
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
