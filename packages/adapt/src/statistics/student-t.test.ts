import { describe, expect, it } from 'vitest'
import { incompleteBeta, logGamma, normalCdf } from './special-functions.js'
import { detectableEffect, noncentralTCdf, studentTCdf, studentTQuantile } from './student-t.js'

// Expected values: scipy 1.17.1 (special.betainc, special.gammaln, stats.norm, stats.t, stats.nct).
const QUANTILES = [
  [0.55, 1, 0.15838444032453658],
  [0.55, 2, 0.14213381090374042],
  [0.55, 4, 0.13383036711194346],
  [0.55, 7, 0.13029279659177756],
  [0.55, 29, 0.12676660562027497],
  [0.55, 1000, 0.12569326251871638],
  [0.975, 1, 12.706204736174694],
  [0.975, 2, 4.302652729749462],
  [0.975, 4, 2.7764451051977934],
  [0.975, 7, 2.364624251592784],
  [0.975, 29, 2.045229642132703],
  [0.975, 1000, 1.9623390808264083],
  [0.9995, 1, 636.6192487687897],
  [0.9995, 2, 31.599054576445365],
  [0.9995, 4, 8.610301581379522],
  [0.9995, 7, 5.407882520861828],
  [0.9995, 29, 3.6594050194663748],
  [0.9995, 1000, 3.300282648423944],
] as const
const PROBABILITIES = [
  [-6, 1, 0.05256845671125344],
  [-6, 5, 0.0009230691447970072],
  [-6, 30, 6.971384383602382e-7],
  [-1.5, 1, 0.18716704181099886],
  [-1.5, 5, 0.09695184012123664],
  [-1.5, 30, 0.072032964564323],
  [-0.1, 1, 0.4682744825694465],
  [-0.1, 5, 0.4621150705773302],
  [-0.1, 30, 0.4605048058951356],
  [0.3, 1, 0.5927735790777423],
  [0.3, 5, 0.6118754788683627],
  [0.3, 30, 0.6168769473578236],
  [2.2, 1, 0.8642002512199081],
  [2.2, 5, 0.9604530510484088],
  [2.2, 30, 0.9821757800015821],
  [12, 1, 0.9735353239404101],
  [12, 5, 0.9999645525374142],
  [12, 30, 0.999999999999721],
] as const
const BETAS = [
  [0.001, 0.5, 0.5, 0.020135041633377492],
  [0.001, 1, 3, 0.0029970009999999996],
  [0.2, 0.5, 0.5, 0.2951672353008665],
  [0.2, 1, 3, 0.48800000000000004],
  [0.2, 4.5, 2, 0.003291492062879691],
  [0.2, 30, 60, 0.0017044692344977757],
  [0.5, 0.5, 0.5, 0.5000000000000001],
  [0.5, 1, 3, 0.875],
  [0.5, 4.5, 2, 0.1436310649285175],
  [0.5, 30, 60, 0.999332368817189],
  [0.77, 0.5, 0.5, 0.6815757713680998],
  [0.77, 1, 3, 0.987833],
  [0.77, 4.5, 2, 0.6277296996679941],
  [0.999, 0.5, 0.5, 0.9798649583666235],
  [0.999, 1, 3, 0.999999999],
  [0.999, 4.5, 2, 0.9999876538479405],
  [0.999, 200, 0.5, 0.5272441070252349],
] as const
const LOG_GAMMAS = [
  [0.1, 2.252712651734206],
  [0.5, 0.5723649429247],
  [1, 0.0],
  [1.5, -0.12078223763524526],
  [2, 0.0],
  [7.25, 7.0521854507385395],
  [40.5, 108.47307506906539],
  [1000, 5905.220423209181],
] as const
const NORMALS = [
  [-8, 6.22096057427174e-16],
  [-3, 0.0013498980316300933],
  [-1.7, 0.04456546275854304],
  [-0.5, 0.3085375387259869],
  [0, 0.5],
  [0.4, 0.6554217416103242],
  [1.96, 0.9750021048517795],
  [5, 0.9999997133484281],
] as const
const NONCENTRAL = [
  [4.302652729911275, 2, 5.6, 0.20595588283458607],
  [-4.302652729911275, 2, 5.6, 3.1852286761234814e-11],
  [2.7764, 4, 3.7, 0.21216437572636446],
  [2.3646, 7, 3.3, 0.19296200001460248],
  [1.0, 3, -1.2, 0.9766215052178207],
  [-0.7, 3, 0.9, 0.06777984233585266],
  [2.0, 29, 2.9, 0.18742845183959142],
  [3.0, 9, 0.01, 0.9923436795712669],
] as const
/** Pairs, and the root of scipy's power of the two-sided t test at 80 % by brentq. */
const DETECTABLE = [
  [2, 11.549888435882346],
  [3, 3.264043549699571],
  [4, 2.127949343257797],
  [5, 1.6819969659555516],
  [8, 1.1560346779947335],
  [10, 0.9960013714554439],
  [20, 0.6604416546230261],
] as const

const relative = (actual: number, expected: number) => Math.abs(actual - expected) / Math.abs(expected)

describe('special functions', () => {
  it.each(LOG_GAMMAS)('ln Gamma(%d)', (x, expected) => {
    expect(Math.abs(logGamma(x) - expected)).toBeLessThan(1e-13 * Math.max(1, Math.abs(expected)))
  })

  it.each(BETAS)('I_%d(%d, %d)', (x, a, b, expected) => {
    expect(relative(incompleteBeta(x, a, b), expected)).toBeLessThan(1e-11)
  })

  it.each(NORMALS)('P(Z <= %d)', (z, expected) => {
    expect(relative(normalCdf(z), expected)).toBeLessThan(1e-12)
  })
})

describe("Student's t", () => {
  it.each(PROBABILITIES)('P(T <= %d) with %d degrees of freedom', (t, df, expected) => {
    expect(relative(studentTCdf(t, df), expected)).toBeLessThan(1e-11)
  })

  it.each(QUANTILES)('quantile at %d with %d degrees of freedom', (p, df, expected) => {
    expect(relative(studentTQuantile(p, df), expected)).toBeLessThan(1e-8)
    expect(studentTQuantile(1 - p, df)).toBeCloseTo(-studentTQuantile(p, df), 6)
  })

  it('has the closed forms of one and two degrees of freedom', () => {
    for (const p of [0.6, 0.9, 0.975, 0.9999]) {
      expect(relative(studentTQuantile(p, 1), Math.tan(Math.PI * (p - 0.5)))).toBeLessThan(1e-11)
      expect(relative(studentTQuantile(p, 2), (2 * p - 1) / Math.sqrt(2 * p * (1 - p)))).toBeLessThan(1e-11)
    }
  })
})

describe('noncentral t', () => {
  it.each(NONCENTRAL)('P(T <= %d) with %d degrees of freedom, shift %d', (t, df, shift, expected) => {
    expect(Math.abs(noncentralTCdf(t, df, shift) - expected)).toBeLessThan(1e-10)
  })

  it('is the central one without a shift', () => {
    expect(noncentralTCdf(1.3, 4, 0)).toBe(studentTCdf(1.3, 4))
  })
})

describe('the detectable effect', () => {
  it.each(DETECTABLE)('of %d pairs', (pairs, expected) => {
    expect(relative(detectableEffect(pairs), expected)).toBeLessThan(1e-8)
  })

  it('of one pair is infinite', () => {
    expect(detectableEffect(1)).toBe(Number.POSITIVE_INFINITY)
  })
})
