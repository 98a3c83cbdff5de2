import type { ColorName } from './source-colors.js'

/** A chart over optimiser steps, complete but for drawing: the page's script turns it into a uPlot instance. */
export interface ChartSpec {
  readonly title: string
  /** One sentence on how to read it. */
  readonly about: string
  /** With the unit. */
  readonly yLabel: string
  /** Fixed ends of the y axis; null is fitted to the data. */
  readonly yRange?: readonly [number | null, number | null]
  /** One table per run: runs need not have the same steps. */
  readonly tables: readonly ChartTable[]
  /** Areas between two series, as positions over all tables. */
  readonly bands?: readonly ChartBand[]
  /** Points in the running mean when smoothing is on; 1 is never smoothed. */
  readonly smoothPoints: number
  /** Drawn under the lines, on the same axes. */
  readonly heat?: HeatMap
  /** Over the whole width. */
  readonly wide?: boolean
  /** Each line has its name at its end instead of in a legend. */
  readonly named?: boolean
  /** Equal ratios are equally far apart. */
  readonly logarithmic?: boolean
  /** A value that the lines are read against, and what it stands for. */
  readonly reference?: { readonly value: number; readonly label: string }
  /** Steps that are marked on the axis. */
  readonly marks?: readonly number[]
}

export interface ChartTable {
  readonly steps: readonly number[]
  readonly series: readonly ChartSeries[]
}

export interface ChartSeries {
  readonly label: string
  readonly color: ColorName
  /** Lengths of stroke and gap in pixels. */
  readonly dash?: readonly [number, number]
  /** Stands out beside its name. */
  readonly strong?: boolean
  /** Without a name at its end. */
  readonly unnamed?: boolean
  /** Pixels; default 1.5. */
  readonly width?: number
  /** Lines go over missing values: not every step has a sample of every source. */
  readonly sparse?: boolean
  /** Draws points as well: for few values. */
  readonly points?: boolean
  readonly values: readonly (number | null)[]
  /** Draws the values themselves, faintly, under their running mean. */
  readonly raw?: boolean
  /** Least and largest value behind each point, where a point stands for several: drawn as a shade. */
  readonly low?: readonly (number | null)[]
  readonly high?: readonly (number | null)[]
}

/** How many of something fall where: columns over steps, cells over the y axis from below. */
export interface HeatMap {
  /** Column i covers the steps above `edges[i]` up to `edges[i + 1]`. */
  readonly edges: readonly number[]
  readonly low: number
  readonly high: number
  /** One row per column: percent of the column's fullest cell, 0 to 100. */
  readonly cells: readonly (readonly number[])[]
  readonly color: ColorName
}

export interface ChartBand {
  readonly upper: number
  readonly lower: number
  readonly color: ColorName
  readonly opacity: number
}

/** Points of a line, each with its extremes: more than pixels would only make the page heavy. */
export const MAX_POINTS = 1000
/** Significant digits of a drawn value; all of them would triple the size of the page. */
const DIGITS = 6

/** What stands for the values of a bucket. */
export type Summary = 'mean' | 'min' | 'max'

/**
 * One value for each bucket of equally many steps, the same buckets for all runs, so that their values stand at
 * equal steps. A bucket without a finite value is null and leaves a gap.
 */
export class StepBuckets {
  /** Steps per point; 1 for short runs. */
  readonly stride: number

  constructor(maxStep: number) {
    this.stride = Math.max(1, Math.ceil(maxStep / MAX_POINTS))
  }

  /** The step at the end of each bucket that has a record. */
  steps(records: readonly { readonly step: number }[]): number[] {
    return [...new Set(records.map((record) => this.#bucket(record.step)))].map(
      (bucket) => bucket * this.stride,
    )
  }

  values<R extends { readonly step: number }>(
    records: readonly R[],
    pick: (record: R) => number | undefined,
    summary: Summary = 'mean',
  ): (number | null)[] {
    const found: (number | null)[] = []
    let current = Number.NaN
    let total = 0
    let count = 0
    const finish = (): void => {
      if (Number.isNaN(current)) return
      const value = summary === 'mean' ? total / count : total
      found.push(count === 0 ? null : Number(value.toPrecision(DIGITS)))
    }
    for (const record of records) {
      const bucket = this.#bucket(record.step)
      if (bucket !== current) {
        finish()
        current = bucket
        total = 0
        count = 0
      }
      const value = pick(record)
      if (value === undefined || !Number.isFinite(value)) continue
      if (summary === 'mean') total += value
      else if (count === 0 || (summary === 'min' ? value < total : value > total)) total = value
      count++
    }
    finish()
    return found
  }

  #bucket(step: number): number {
    return Math.ceil(step / this.stride)
  }
}

/** Points of the running mean that covers about 1/40 of a run. */
export function smoothingWindow(points: number): number {
  const half = Math.floor(points / 80)
  return 2 * half + 1
}
