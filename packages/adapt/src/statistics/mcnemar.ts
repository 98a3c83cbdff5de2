import { logGamma } from './special-functions.js'

/** How two models differ on the same items: the items on which they agree say nothing. */
export interface McNemar {
  /** Items that only the first, and only the second, has right. */
  readonly onlyFirst: number
  readonly onlySecond: number
  /** Two-sided exact p of a binomial test of 1/2; 1 where they agree on all items. */
  readonly exactP: number
  /** The same with the observed outcome counted half: less conservative, of about the nominal size. */
  readonly midP: number
}

/**
 * McNemar's test of two models that answered the same items. With b and c the items that only one of them has right, n = b + c,
 * k = min(b, c) and X ~ Binomial(n, 1/2): exact p = min(1, 2 P(X <= k)), mid-p = min(1, 2 P(X <= k) - P(X = k)).
 * It tells of these two trained models on such items, not of the methods that trained them: that takes seeds.
 */
export function mcNemar(onlyFirst: number, onlySecond: number): McNemar {
  const n = onlyFirst + onlySecond
  if (n === 0) return { onlyFirst, onlySecond, exactP: 1, midP: 1 }
  const k = Math.min(onlyFirst, onlySecond)
  const pmf = (i: number) => Math.exp(logGamma(n + 1) - logGamma(i + 1) - logGamma(n - i + 1) - n * Math.LN2)
  let tail = 0
  for (let i = 0; i <= k; i++) tail += pmf(i)
  return {
    onlyFirst,
    onlySecond,
    exactP: Math.min(1, 2 * tail),
    midP: Math.min(1, 2 * tail - pmf(k)),
  }
}
