/** JSON that keeps every number: NaN, the infinities and -0, which JSON has no words for, become `{"$number": "NaN"}`. */
export function toExactJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item !== 'number' || (Number.isFinite(item) && !Object.is(item, -0))) return item
    return { $number: Object.is(item, -0) ? '-0' : String(item) }
  })
}

/** Reads what `toExactJson` wrote. @throws {SyntaxError} */
export function fromExactJson(text: string): unknown {
  return JSON.parse(text, (_, item: unknown) => {
    const name = (item as { readonly $number?: unknown } | null)?.$number
    return typeof name === 'string' ? Number(name) : item
  })
}
