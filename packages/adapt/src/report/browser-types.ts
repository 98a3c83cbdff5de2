// The few parts of the browser that the script uses; the package is compiled without the DOM's types.

export interface PageElement {
  textContent: string | null
  className: string
  title: string
  checked?: boolean
  readonly clientWidth: number
  readonly style: { left: string; top: string; width: string; color: string }
  append(...nodes: PageElement[]): void
  remove(): void
  addEventListener(type: 'change', listener: () => void): void
}

export interface Page {
  getElementById(id: string): PageElement | null
  querySelectorAll(selector: string): Iterable<PageElement>
  createElement(name: string): PageElement
  readonly documentElement: PageElement
}

export interface Browser {
  readonly devicePixelRatio: number
  getComputedStyle(element: PageElement): { getPropertyValue(name: string): string }
  matchMedia(query: string): { addEventListener(type: 'change', listener: () => void): void }
  readonly ResizeObserver: new (callback: () => void) => { observe(element: PageElement): void }
}

export type Column = (number | null | undefined)[]

export interface Canvas {
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

export interface Plot {
  readonly ctx: Canvas
  readonly root: PageElement
  /** Over the lines, in the page's pixels. */
  readonly over: PageElement & {
    readonly clientHeight: number
    readonly offsetLeft: number
    readonly offsetTop: number
  }
  readonly cursor: { readonly idx?: number | null }
  readonly data: readonly Column[]
  readonly bbox: {
    readonly left: number
    readonly top: number
    readonly width: number
    readonly height: number
  }
  readonly scales: { readonly x: { readonly min?: number | null; readonly max?: number | null } }
  valToPos(value: number, scale: 'x' | 'y', canvasPixels: boolean): number
  setSize(size: { width: number; height: number }): void
  destroy(): void
}

export interface PlotLibrary {
  new (options: object, data: Column[], target: PageElement): Plot
  join(tables: Column[][]): Column[]
}
