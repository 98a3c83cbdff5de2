import type { ChartSeries, ChartSpec, HeatMap } from './chart-spec.js'

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

interface Canvas {
  save(): void
  restore(): void
  beginPath(): void
  rect(x: number, y: number, width: number, height: number): void
  clip(): void
  moveTo(x: number, y: number): void
  lineTo(x: number, y: number): void
  closePath(): void
  fill(): void
  stroke(): void
  fillRect(x: number, y: number, width: number, height: number): void
  fillStyle: string
  strokeStyle: string
  lineWidth: number
}

interface Plot {
  readonly ctx: Canvas
  readonly bbox: {
    readonly left: number
    readonly top: number
    readonly width: number
    readonly height: number
  }
  readonly scales: { readonly x: { readonly min?: number | null; readonly max?: number | null } }
  valToPos(value: number, scale: 'x' | 'y', canvasPixels: true): number
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
    return size >= 1000 ? groupThousands(value.toFixed(0)) : String(Number(value.toPrecision(4)))
  }

  function groupThousands(text: string): string {
    return text.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, '\u2009'))
  }

  function tickLabels(ticks: number[]): string[] {
    const small = ticks.every((tick) => Math.abs(tick) < 1e-3)
    const texts = ticks.map((tick) => {
      const short = Number(tick.toPrecision(6))
      return small && tick !== 0 ? short.toExponential() : String(short)
    })
    return texts.map((text) => groupThousands(text).replace(/^-/, '\u2212'))
  }

  function drawHeat(plot: Plot, heat: HeatMap): void {
    const { ctx } = plot
    const fill = color(heat.color)
    const x = (step: number): number => plot.valToPos(step, 'x', true)
    heat.cells.forEach((column, i) => {
      const left = x(heat.edges[i]!)
      const size = (heat.high - heat.low) / column.length
      column.forEach((percent, row) => {
        if (percent === 0) return
        const top = plot.valToPos(heat.low + (row + 1) * size, 'y', true)
        const bottom = plot.valToPos(heat.low + row * size, 'y', true)
        // Square root: the rare cells stay visible beside the full ones.
        ctx.fillStyle = translucent(fill, 0.85 * Math.sqrt(percent / 100))
        ctx.fillRect(left, top, x(heat.edges[i + 1]!) - left, bottom - top)
      })
    })
  }

  /** What lies behind a line: its values where it is a running mean, the extremes where a point is several steps. */
  function drawShade(plot: Plot, steps: readonly number[], one: ChartSeries): void {
    const { low, high } = one
    const { ctx } = plot
    if (one.raw === true && smoothing?.checked) {
      ctx.strokeStyle = translucent(color(one.color), 0.3)
      ctx.lineWidth = 1
      ctx.beginPath()
      one.values.forEach((value, i) => {
        if (value === null) return
        const [x, y] = [plot.valToPos(steps[i]!, 'x', true), plot.valToPos(value, 'y', true)]
        if (i > 0 && one.values[i - 1] !== null) ctx.lineTo(x, y)
        else ctx.moveTo(x, y)
      })
      ctx.stroke()
    }
    if (low === undefined || high === undefined) return
    ctx.fillStyle = translucent(color(one.color), 0.16)
    ctx.strokeStyle = translucent(color(one.color), 0.3)
    ctx.lineWidth = 1
    for (let from = 0; from < steps.length; from++) {
      if (low[from] === null) continue
      let to = from
      while (to + 1 < steps.length && low[to + 1] !== null) to++
      ctx.beginPath()
      for (let i = from; i <= to; i++)
        ctx.lineTo(plot.valToPos(steps[i]!, 'x', true), plot.valToPos(high[i]!, 'y', true))
      for (let i = to; i >= from; i--)
        ctx.lineTo(plot.valToPos(steps[i]!, 'x', true), plot.valToPos(low[i]!, 'y', true))
      ctx.closePath()
      ctx.fill()
      // Else the shade of a single spike would be too thin to see.
      ctx.stroke()
      from = to
    }
  }

  function drawUnder(plot: Plot, spec: ChartSpec): void {
    const { ctx, bbox } = plot
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    if (spec.heat !== undefined) drawHeat(plot, spec.heat)
    for (const { steps, series } of spec.tables) for (const one of series) drawShade(plot, steps, one)
    ctx.restore()
  }

  /** Ends of the shades in the part of the chart that is in view. */
  function shadeRange(spec: ChartSpec, plot: Plot, low: number, high: number): [number, number] {
    // Null until the chart is first laid out.
    const from = plot.scales.x.min ?? Number.NEGATIVE_INFINITY
    const to = plot.scales.x.max ?? Number.POSITIVE_INFINITY
    let [least, most] = [low, high]
    for (const { steps, series } of spec.tables) {
      for (const one of series) {
        steps.forEach((step, i) => {
          if (step < from || step > to) return
          const value = one.raw === true ? one.values[i] : undefined
          least = Math.min(least, one.low?.[i] ?? value ?? least)
          most = Math.max(most, one.high?.[i] ?? value ?? most)
        })
      }
    }
    return [least, most]
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
            range: (plot: Plot, low: number | null, high: number | null) => {
              const [fixedLow, fixedHigh] = spec.yRange ?? [null, null]
              const shades = shadeRange(spec, plot, low ?? 0, high ?? 1)
              const least = fixedLow ?? shades[0]
              const most = fixedHigh ?? shades[1]
              const margin = most > least ? (most - least) * 0.06 : Math.abs(most) * 0.1 || 1
              return [fixedLow ?? least - margin, fixedHigh ?? most + margin]
            },
          },
        },
        axes: [
          {
            ...axis,
            label: 'optimiser step',
            size: 30,
            values: (_: unknown, ticks: number[]) => tickLabels(ticks),
          },
          {
            ...axis,
            label: spec.yLabel,
            size: (_: unknown, texts: string[] | null) =>
              20 + 7 * (texts ?? ['']).reduce((most, text) => Math.max(most, text.length), 2),
            values: (_: unknown, ticks: number[]) => tickLabels(ticks),
          },
        ],
        bands,
        hooks: { drawAxes: [(plot: Plot) => drawUnder(plot, spec)] },
        legend: {
          markers: {
            fill: (_: unknown, column: number) =>
              series[column - 1]!.dashed ? 'transparent' : color(series[column - 1]!.color),
            dash: (_: unknown, column: number) => (series[column - 1]!.dashed ? 'dashed' : 'solid'),
          },
        },
        series: [
          {
            label: 'step',
            value: (_: unknown, step: number | null) => (step === null ? '' : groupThousands(String(step))),
          },
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
