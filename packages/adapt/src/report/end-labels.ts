import type { Browser, Page, PageElement, Plot } from './browser-types.js'
import type { ChartSeries } from './chart-spec.js'

/** Names at the ends of the lines of one chart. */
export interface EndLabels {
  /** Puts them where the lines end now. */
  layout(): void
  /** Shows the values at the cursor, else at the ends. */
  show(): void
  remove(): void
}

/** The page that a chart is in. */
export interface LabelledPage {
  /** Pixels to the right of the lines. */
  readonly room: number
  /** Digits of a value below 10. */
  readonly decimals: number
  readonly document: Page
  readonly window: Browser
  readonly color: (name: string) => string
}

/**
 * Names the lines of a chart at their ends, with the value there or at the cursor, as text of the page. Runs in the
 * reader's browser, so it must not refer to anything outside itself.
 */
export function endLabels(plot: Plot, series: readonly ChartSeries[], page: LabelledPage): EndLabels {
  const HEIGHT = 17
  const GAP = 16
  const { room, decimals, document, window, color } = page
  const add = (className: string, text: string): PageElement => {
    const made = document.createElement('span')
    made.className = className
    made.textContent = text
    return made
  }
  const place = add('end-place', '')
  plot.root.append(place)
  const labels = series.flatMap((one, i) => {
    if (one.unnamed === true) return []
    const box = add(one.strong === true ? 'end-label strong' : 'end-label', '')
    const value = add('end-value', '')
    box.append(value, add('end-name', one.label))
    box.title = one.label
    plot.root.append(box)
    return [{ one, box, value, column: i + 1 }]
  })

  /** Neighbours that overlap move apart, as a block around the middle of the places they want. */
  function spread(wanted: readonly number[], height: number): number[] {
    let blocks = wanted.map((middle) => ({ sum: middle, count: 1, middle }))
    for (let i = 0; i < blocks.length; ) {
      const [above, below] = [blocks[i - 1], blocks[i]!]
      const half = (below.count * HEIGHT) / 2
      below.middle = Math.min(Math.max(below.sum / below.count, half), height - half)
      const isApart =
        above === undefined ||
        below.middle - above.middle >= ((above.count + below.count) / 2) * HEIGHT - 0.01
      if (isApart) i++
      else {
        const merged = { sum: above.sum + below.sum, count: above.count + below.count, middle: 0 }
        blocks = [...blocks.slice(0, i - 1), merged, ...blocks.slice(i + 1)]
        i--
      }
    }
    return blocks.flatMap(({ middle, count }) =>
      Array.from({ length: count }, (_, i) => middle + (i - (count - 1) / 2) * HEIGHT),
    )
  }

  /** From the end of a line to its name. */
  function lead(name: string, from: number, to: number): void {
    const { ctx, bbox } = plot
    const scale = window.devicePixelRatio || 1
    const right = bbox.left + bbox.width
    ctx.save()
    ctx.strokeStyle = color(name)
    ctx.lineWidth = scale
    ctx.beginPath()
    ctx.moveTo(right + 2 * scale, bbox.top + from * scale)
    ctx.lineTo(right + (GAP - 3) * scale, bbox.top + to * scale)
    ctx.stroke()
    ctx.restore()
  }

  function layout(): void {
    const { over, data } = plot
    const left = over.offsetLeft + over.clientWidth + GAP
    const height = over.clientHeight
    const ends = labels.flatMap((label) => {
      const last = data[label.column]!.findLast((value) => value !== null && value !== undefined)
      if (last === undefined) return []
      return [{ ...label, at: Math.min(Math.max(plot.valToPos(last!, 'y', false), 0), height) }]
    })
    for (const { box } of labels) box.style.left = '-9999px'
    const kept = ends
      .sort((a, b) => Number(b.one.strong === true) - Number(a.one.strong === true))
      .slice(0, Math.floor(height / HEIGHT))
      .sort((a, b) => a.at - b.at)
    const tops = spread(
      kept.map(({ at }) => at),
      height,
    )
    kept.forEach(({ box, one, at }, i) => {
      box.style.left = `${left}px`
      box.style.top = `${over.offsetTop + tops[i]! - HEIGHT / 2}px`
      box.style.width = `${room - GAP - 2}px`
      box.style.color = color(one.color)
      lead(one.color, at, tops[i]!)
    })
    place.style.left = `${left}px`
    place.style.top = `${over.offsetTop - 21}px`
    show()
  }

  function show(): void {
    const { data, cursor } = plot
    const at = cursor.idx ?? data[0]!.length - 1
    for (const { column, value, one } of labels) {
      const found = data[column]![at]
      // One name for many lines has no value.
      const isMany = / other sources$/.test(one.label)
      value.textContent = isMany || found === null || found === undefined ? '' : figure(found)
    }
    place.textContent = `step ${String(data[0]![at] ?? '').replace(/\B(?=(\d{3})+$)/g, '\u202f')}`
  }

  function figure(value: number): string {
    const size = Math.abs(value)
    const text = value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : decimals)
    return text.replace(/^-/, '\u2212')
  }

  return {
    layout,
    show,
    remove: () => {
      for (const { box } of labels) box.remove()
      place.remove()
    },
  }
}
