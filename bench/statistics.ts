/** Median and a distribution-free 95 % interval of it (order statistics of the binomial). */
export interface MedianInterval {
  readonly median: number
  readonly low: number
  readonly high: number
}

export function medianInterval(values: readonly number[]): MedianInterval {
  const sorted = [...values].sort((a, b) => a - b)
  const n = sorted.length
  const at = (position: number) => sorted[Math.min(n - 1, Math.max(0, position))]!
  const median = n % 2 === 1 ? at((n - 1) / 2) : (at(n / 2 - 1) + at(n / 2)) / 2
  const half = (1.96 * Math.sqrt(n)) / 2
  return { median, low: at(Math.floor(n / 2 - half)), high: at(Math.ceil(n / 2 + half) - 1) }
}

export const rounded = (value: number, digits = 3) => Number(value.toFixed(digits))
