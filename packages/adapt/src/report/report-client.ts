import type { Browser, Page, PageElement, Plot, PlotLibrary } from './browser-types.js'
import type { ChartSeries, ChartSpec, HeatMap } from './chart-spec.js'
import type { EndLabels, endLabels } from './end-labels.js'

/**
 * Draws the charts of a report. Runs in the reader's browser: the page holds this function's source text, so it
 * must not refer to anything outside itself. {@link endLabels} comes as an argument for the same reason.
 */
export function reportClient(
  uPlot: PlotLibrary,
  document: Page,
  window: Browser,
  nameEnds: typeof endLabels,
): void {
  const HEIGHT = 260
  const WIDE_HEIGHT = 400
  /** Of a telephone: names and numbers need the room. */
  const NARROW = 480
  const specs = JSON.parse(document.getElementById('charts')!.textContent!) as ChartSpec[]
  const frames = [...document.querySelectorAll('.plot')]
  const smoothing = document.getElementById('smoothing')
  let plots: Plot[] = []

  function cssValue(name: string): string {
    return window.getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  }

  function color(name: string): string {
    return cssValue(`--${name}`)
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
    return text.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, '\u202f'))
  }

  /** As many digits as tell neighbours apart. A logarithmic axis leaves out ticks with null. */
  function tickLabels(ticks: (number | null)[], isLogarithmic = false): string[] {
    const shown = ticks.filter((tick) => tick !== null)
    const most = shown.reduce((size, tick) => Math.max(size, Math.abs(tick)), 0)
    const step = shown.length > 1 ? Math.abs(shown[1]! - shown[0]!) : most
    const isTiny = most !== 0 && most < 1e-3
    const decimals = Math.min(9, Math.max(0, Math.ceil(-Math.log10(step || 1) - 1e-6)))
    // A step of 0.25 needs one more digit than one of 0.2.
    const digits =
      Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) > 1e-6 ? decimals + 1 : decimals
    return ticks.map((tick) => {
      if (tick === null) return ''
      if (isLogarithmic) return groupThousands(String(Number(tick.toPrecision(3)))).replace(/^-/, '\u2212')
      const text =
        isTiny && tick !== 0
          ? String(Number(tick.toPrecision(6)).toExponential())
          : tick.toFixed(isTiny ? 0 : digits)
      return groupThousands(text).replace(/^-/, '\u2212')
    })
  }

  /** Round numbers, equal ratios apart. */
  function logTicks(low: number, high: number): number[] {
    const factors = high / low < 200 ? [1, 2, 5] : high / low < 1e5 ? [1, 3] : [1]
    const ticks: number[] = []
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(1)))
    return ticks.filter((tick) => tick >= low && tick <= high)
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

  /** The value that lines are read against, and short marks on the axis of steps. */
  function drawGuides(plot: Plot, { reference, marks = [] }: ChartSpec): void {
    const { ctx, bbox } = plot
    const scale = window.devicePixelRatio || 1
    ctx.lineWidth = scale
    if (reference !== undefined) {
      const y = Math.round(plot.valToPos(reference.value, 'y', true))
      ctx.strokeStyle = cssValue('--muted')
      ctx.beginPath()
      ctx.moveTo(bbox.left, y)
      ctx.lineTo(bbox.left + bbox.width, y)
      ctx.stroke()
    }
    const bottom = bbox.top + bbox.height
    // Side by side they would be a grey bar.
    const half = marks.length * 12 < bbox.width / scale ? 4 : 0.5
    ctx.fillStyle = cssValue('--muted')
    for (const step of marks) {
      const x = plot.valToPos(step, 'x', true)
      ctx.beginPath()
      ctx.moveTo(x, bottom - 7 * scale)
      ctx.lineTo(x + half * scale, bottom)
      ctx.lineTo(x - half * scale, bottom)
      ctx.closePath()
      ctx.fill()
    }
  }

  function drawUnder(plot: Plot, spec: ChartSpec): void {
    const { ctx, bbox } = plot
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    if (spec.heat !== undefined) drawHeat(plot, spec.heat)
    drawGuides(plot, spec)
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

  /** Room to the right of the lines for their names, in pixels. */
  function labelRoom(spec: ChartSpec, width: number): number {
    const names = spec.tables.flatMap(({ series }) =>
      series.map((one) => one.label.length * (one.strong ? 1.12 : 1)),
    )
    const needed = 86 + 7 * names.reduce((most, length) => Math.max(most, length), 0)
    return Math.round(Math.min(needed, width * (width < NARROW ? 0.44 : 0.42), 300))
  }

  function build(spec: ChartSpec, frame: PageElement): Plot {
    const points = smoothing?.checked ? spec.smoothPoints : 1
    const isWide = spec.wide === true
    const data = uPlot.join(
      spec.tables.map((table) => [
        [...table.steps],
        ...table.series.map((one) => runningMean(one.values, points)),
      ]),
    )
    const series = spec.tables.flatMap((table) => table.series)
    const bands = (spec.bands ?? []).map((band) => ({
      series: [band.upper + 1, band.lower + 1],
      fill: translucent(color(band.color), band.opacity),
    }))
    const width = Math.max(240, frame.clientWidth)
    const isNamed = spec.named === true
    const room = isNamed ? labelRoom(spec, width) : 0
    let ends: EndLabels | undefined
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
        width,
        ...(series.length > 1 ? {} : { class: 'single' }),
        height: isWide ? WIDE_HEIGHT : HEIGHT,
        padding: isNamed ? [24, room, null, null] : [null, null, null, null],
        cursor: { sync: { key: 'steps', scales: ['x', null] }, points: { size: 7 } },
        scales: {
          x: { time: false },
          y: {
            ...(spec.logarithmic ? { distr: 3, log: 2 } : {}),
            range: (plot: Plot, low: number | null, high: number | null) => {
              const [fixedLow, fixedHigh] = spec.yRange ?? [null, null]
              const shades = shadeRange(spec, plot, low ?? 0, high ?? 1)
              const least = fixedLow ?? shades[0]
              const most = fixedHigh ?? shades[1]
              // What rounding alone moves is not blown up to fill the chart.
              const margin =
                Math.max((most - least) * 0.06, Math.max(Math.abs(most), Math.abs(least)) * 1e-3) || 1
              return [fixedLow ?? least - margin, fixedHigh ?? most + margin]
            },
          },
        },
        axes: [
          {
            ...axis,
            label: 'optimiser step',
            size: 30,
            space: width < NARROW ? 38 : 46,
            incrs: Array.from({ length: 30 }, (_, i) => [1, 2, 5][i % 3]! * 10 ** Math.floor(i / 3)),
            values: (_: unknown, ticks: number[]) => tickLabels(ticks),
          },
          {
            ...axis,
            ...(width < NARROW && isNamed ? {} : { label: spec.yLabel }),
            ...(spec.logarithmic
              ? { splits: (_: unknown, __: unknown, low: number, high: number) => logTicks(low, high) }
              : {}),
            size: (_: unknown, texts: string[] | null) =>
              20 + 7 * (texts ?? ['']).reduce((most, text) => Math.max(most, text.length), 2),
            values: (_: unknown, ticks: (number | null)[]) => tickLabels(ticks, spec.logarithmic),
          },
        ],
        bands,
        hooks: {
          drawAxes: [(plot: Plot) => drawUnder(plot, spec)],
          draw: [
            (plot: Plot) => {
              if (!isNamed) return
              ends ??= nameEnds(plot, series, {
                room,
                decimals: width < NARROW ? 2 : 3,
                document,
                window,
                color,
              })
              ends.layout()
            },
          ],
          setCursor: [() => ends?.show()],
          destroy: [() => ends?.remove()],
        },
        legend: {
          show: !isNamed,
          markers: {
            show: series.length > 1,
            fill: (_: unknown, column: number) =>
              series[column - 1]!.dash ? 'transparent' : color(series[column - 1]!.color),
            dash: (_: unknown, column: number) => (series[column - 1]!.dash ? 'dashed' : 'solid'),
          },
        },
        series: [
          {
            label: '',
            value: (_: unknown, step: number | null) =>
              step === null ? '' : `step ${groupThousands(String(step))}`,
          },
          ...series.map((one) => ({
            // A single line needs no name beside the title of its chart.
            label: series.length > 1 ? one.label : '\u00a0',
            // Many thin lines are a ground for the others.
            stroke:
              (one.width ?? 1.5) < 1 && !spec.bands ? translucent(color(one.color), 0.5) : color(one.color),
            width: one.width ?? 1.5,
            points: { show: one.points === true, size: 6, fill: color(one.color) },
            spanGaps: one.sparse === true,
            ...(one.dash ? { dash: [...one.dash] } : {}),
            value: (_: unknown, value: number | null) => label(value),
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
  const drawn = frames.map((frame) => frame.clientWidth)
  smoothing?.addEventListener('change', draw)
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
  frames.forEach((frame, i) => {
    const observer = new window.ResizeObserver(() => {
      // The room for names depends on the width.
      if (specs[i]!.named === true) {
        if (frame.clientWidth === drawn[i]) return
        drawn[i] = frame.clientWidth
        plots[i]!.destroy()
        plots[i] = build(specs[i]!, frame)
      } else plots[i]!.setSize({ width: Math.max(240, frame.clientWidth), height: HEIGHT })
    })
    observer.observe(frame)
  })
}
