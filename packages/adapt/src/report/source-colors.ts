/** A colour of the page's style sheet, by the name of its variable: `s0` to `s8` for sources, `ink` and `grey`. */
export type ColorName = string

/** Sources that have a colour of their own. */
export const MAX_COLORS = 9

/**
 * One colour for each source, in every section and report: by place in the order of names, so that two reports on the
 * same sources agree. Of more sources than colours, those that are asked for first get one and the rest are grey.
 */
export class SourceColors {
  readonly #colors: ReadonlyMap<string, ColorName>

  /**
   * @param names  All sources of the report.
   * @param first  Those that must have a colour, the most important first.
   */
  constructor(names: Iterable<string>, first: Iterable<string> = []) {
    const all = [...new Set(names)]
    const known = new Set(all)
    const asked = [...new Set(first)].filter((name) => known.has(name))
    const chosen = all.length <= MAX_COLORS ? all : asked.slice(0, MAX_COLORS)
    this.#colors = new Map([...chosen].sort().map((name, i) => [name, `s${i}`]))
  }

  /** The colour of a source, or undefined for one that is not told apart. */
  own(name: string): ColorName | undefined {
    return this.#colors.get(name)
  }

  /** The colour of a source, grey without one of its own. */
  of(name: string): ColorName {
    return this.own(name) ?? 'grey'
  }
}
