import type { ChartSpec } from './chart-spec.js'

// The few parts of the browser that the script uses; the package is compiled without the DOM's types.

interface PageElement {
  textContent: string | null
  checked?: boolean
  readonly clientWidth: number
  addEventListener(type: 'change', listener: () => void): void
}

interface Page {
  getElementById(id: string): PageElement | null
  querySelectorAll(selector: string): Iterable<PageElement>
  readonly documentElement: PageElement
}

interface Browser {
  getComputedStyle(element: PageElement): { getPropertyValue(name: string): string }
  matchMedia(query: string): { addEventListener(type: 'change', listener: () => void): void }
  readonly ResizeObserver: new (callback: () => void) => { observe(element: PageElement): void }
}

type Column = (number | null | undefined)[]

interface Plot {
  setSize(size: { width: number; height: number }): void
  destroy(): void
}

interface PlotLibrary {
  new (options: object, data: Column[], target: PageElement): Plot
  join(tables: Column[][]): Column[]
}

/**
 * Draws the charts of a report. Runs in the reader's browser: the page holds this function's source text, so it
 * must not refer to anything outside itself.
 */
export function reportClient(uPlot: PlotLibrary, document: Page, window: Browser): void {
  const HEIGHT = 260
  const specs = JSON.parse(document.getElementById('charts')!.textContent!) as ChartSpec[]
  const frames = [...document.querySelectorAll('.plot')]
  const smoothing = document.getElementById('smoothing')
  let plots: Plot[] = []

  function cssValue(name: string): string {
    return window.getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  }

  function color(position: number): string {
    return cssValue(`--c${position % 8}`)
  }

  function translucent(hex: string, opacity: number): string {
    const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16))
    return `rgba(${r},${g},${b},${opacity})`
  }

  function runningMean(values: readonly (number | null)[], points: number): (number | null)[] {
    const half = (points - 1) / 2
    return values.map((value, i) => {
      if (value === null) return null
      const near = values.slice(Math.max(0, i - half), i + half + 1).filter((other) => other !== null)
      return near.reduce((total, other) => total + other, 0) / near.length
    })
  }

  function label(value: number | null | undefined): string {
    if (value === null || value === undefined) return ''
    const size = Math.abs(value)
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2)
    return size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)))
  }

  function tickLabels(ticks: number[]): string[] {
    const small = ticks.every((tick) => Math.abs(tick) < 1e-3)
    const texts = ticks.map((tick) => {
      const short = Number(tick.toPrecision(6))
      return small && tick !== 0 ? short.toExponential() : String(short)
    })
    return texts.map((text) => text.replace(/^-/, '\u2212'))
  }

  function build(spec: ChartSpec, frame: PageElement): Plot {
    const points = smoothing?.checked ? spec.smoothPoints : 1
    const columns = (key: 'values' | 'legendValues'): Column[] =>
      uPlot.join(
        spec.tables.map((table) => [
          [...table.steps],
          ...table.series.map((one) => runningMean(one[key] ?? one.values, points)),
        ]),
      )
    const data = columns('values')
    const shown = spec.stacked ? columns('legendValues') : data
    const series = spec.tables.flatMap((table) => table.series)
    const bands = (spec.bands ?? []).map((band) => ({
      series: [band.upper + 1, band.lower + 1],
      fill: translucent(color(band.color), band.opacity),
    }))
    if (spec.stacked) {
      for (let i = 1; i < series.length; i++) {
        bands.push({ series: [i, i + 1], fill: translucent(color(series[i - 1]!.color), 0.55) })
      }
    }
    const axis = {
      stroke: cssValue('--muted'),
      font: '12px system-ui, sans-serif',
      labelFont: '12px system-ui, sans-serif',
      labelSize: 22,
      grid: { stroke: cssValue('--grid'), width: 1 },
      ticks: { stroke: cssValue('--grid'), width: 1, size: 5 },
    }
    return new uPlot(
      {
        width: Math.max(240, frame.clientWidth),
        height: HEIGHT,
        cursor: { sync: { key: 'steps', scales: ['x', null] }, points: { size: 7 } },
        scales: {
          x: { time: false },
          y: {
            range: (_: unknown, low: number | null, high: number | null) => {
              const [fixedLow, fixedHigh] = spec.yRange ?? [null, null]
              const least = fixedLow ?? low ?? 0
              const most = fixedHigh ?? high ?? 1
              const margin = most > least ? (most - least) * 0.06 : Math.abs(most) * 0.1 || 1
              return [fixedLow ?? least - margin, fixedHigh ?? most + margin]
            },
          },
        },
        axes: [
          { ...axis, label: 'optimiser step', size: 30 },
          {
            ...axis,
            label: spec.yLabel,
            size: (_: unknown, texts: string[] | null) =>
              20 + 7 * (texts ?? ['']).reduce((most, text) => Math.max(most, text.length), 2),
            values: (_: unknown, ticks: number[]) => tickLabels(ticks),
          },
        ],
        bands,
        legend: {
          markers: {
            fill: (_: unknown, column: number) =>
              series[column - 1]!.dashed ? 'transparent' : color(series[column - 1]!.color),
            dash: (_: unknown, column: number) => (series[column - 1]!.dashed ? 'dashed' : 'solid'),
          },
        },
        series: [
          { label: 'step', value: (_: unknown, step: number | null) => (step === null ? '' : String(step)) },
          ...series.map((one, i) => ({
            label: one.label,
            stroke: color(one.color),
            width: one.width ?? 1.5,
            points: { show: one.points === true, size: 6, fill: color(one.color) },
            spanGaps: one.sparse === true,
            ...(one.dashed ? { dash: [5, 4] } : {}),
            ...(spec.stacked && i === series.length - 1 ? { fill: translucent(color(one.color), 0.55) } : {}),
            value: (_: unknown, __: unknown, column: number, row: number | null) =>
              label(row === null ? null : shown[column]![row]),
          })),
        ],
      },
      data,
      frame,
    )
  }

  function draw(): void {
    for (const plot of plots) plot.destroy()
    plots = specs.map((spec, i) => build(spec, frames[i]!))
  }

  draw()
  smoothing?.addEventListener('change', draw)
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
  frames.forEach((frame, i) => {
    const observer = new window.ResizeObserver(() => {
      plots[i]!.setSize({ width: Math.max(240, frame.clientWidth), height: HEIGHT })
    })
    observer.observe(frame)
  })
}
