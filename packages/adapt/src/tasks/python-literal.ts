/** What Python's `ast.literal_eval` reads of text, numbers, truth values, None, lists and tuples. */
export type PythonLiteral = string | number | boolean | null | readonly PythonLiteral[]

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '0': '\0',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\n': '',
}
const WORDS: ReadonlyMap<string, PythonLiteral> = new Map<string, PythonLiteral>([
  ['True', true],
  ['False', false],
  ['None', null],
])

/** Parses a literal of Python. @throws {Error} for anything else. */
export function parsePythonLiteral(text: string): PythonLiteral {
  const reader = new Reader(text)
  const value = reader.value()
  reader.end()
  return value
}

class Reader {
  private at = 0

  constructor(private readonly text: string) {}

  value(): PythonLiteral {
    this.blanks()
    const letter = this.text[this.at]
    if (letter === '[') return this.list(']')
    if (letter === '(') return this.list(')')
    if (letter === '"' || letter === "'") return this.strings()
    return this.word()
  }

  end(): void {
    this.blanks()
    if (this.at < this.text.length) this.fail('one value')
  }

  private list(close: string): readonly PythonLiteral[] {
    this.at += 1
    const items: PythonLiteral[] = []
    for (;;) {
      this.blanks()
      if (this.text[this.at] === close) break
      items.push(this.value())
      this.blanks()
      if (this.text[this.at] === ',') this.at += 1
      else if (this.text[this.at] !== close) this.fail(`"," or "${close}"`)
    }
    this.at += 1
    return items
  }

  /** Neighbouring strings are one. */
  private strings(): string {
    let joined = ''
    for (;;) {
      joined += this.string()
      this.blanks()
      if (this.text[this.at] !== '"' && this.text[this.at] !== "'") return joined
    }
  }

  private string(): string {
    const quote = this.text[this.at]!
    const isLong = this.text.startsWith(quote.repeat(3), this.at)
    const close = isLong ? quote.repeat(3) : quote
    this.at += close.length
    let value = ''
    while (!this.text.startsWith(close, this.at)) {
      const letter = this.text[this.at]
      if (letter === undefined || (letter === '\n' && !isLong)) this.fail(`a string that ends with ${close}`)
      value += letter === '\\' ? this.escape() : letter
      if (letter !== '\\') this.at += 1
    }
    this.at += close.length
    return value
  }

  private escape(): string {
    const code = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(
      this.text.slice(this.at, this.at + 10),
    )
    if (code) {
      this.at += code[0].length
      return String.fromCodePoint(Number.parseInt(code[1] ?? code[2] ?? code[3]!, 16))
    }
    const letter = this.text[this.at + 1] ?? ''
    this.at += 2
    // As Python, which keeps the backslash of what it does not know.
    return ESCAPES[letter] ?? (`\\'"`.includes(letter) ? letter : `\\${letter}`)
  }

  private word(): PythonLiteral {
    const found = /^[\w.+-]+/.exec(this.text.slice(this.at))?.[0] ?? ''
    const known = WORDS.get(found)
    if (known === undefined && !/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(found)) {
      this.fail('a list, text, number, True, False or None')
    }
    this.at += found.length
    return known === undefined ? Number(found) : known
  }

  private blanks(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at += 1
  }

  private fail(expected: string): never {
    throw new Error(`expected ${expected} at character ${this.at + 1}`)
  }
}
