import { printable, printableText } from '../../dataset/printable.js'
import type { OutputStream } from './process-io.js'

/**
 * A stream on which text of others (names of sources, files and records, texts, what a model says) cannot steer the
 * terminal or forge what it shows: control, bidirectional and invisible characters appear as `\u{hex}`. The codes that
 * this program sends itself have methods of their own.
 */
export class SafeStream {
  constructor(private readonly stream: OutputStream) {}

  get isTTY(): boolean {
    return this.stream.isTTY === true
  }

  get columns(): number | undefined {
    return this.stream.columns
  }

  /** Writes text; line breaks and tabs are kept. */
  write(text: string): void {
    this.stream.write(printableText(text))
  }

  /** Writes one line: a line break in the text is shown, not made. */
  line(text: string): void {
    this.stream.write(`${printable(text, Number.POSITIVE_INFINITY)}\n`)
  }

  /**
   * Writes what is data to whoever reads the stream, such as the words of a model: as it is into a file or a pipe, and
   * on a terminal like {@link write}, but for the joiners that Persian, Hindi and emoji are written with.
   */
  writeData(text: string): void {
    this.stream.write(this.isTTY ? text.replace(/[^\u200c\u200d]+/g, printableText) : text)
  }

  /** Writes text whose control sequences are all this program's own: what it shows of others was escaped before. */
  writeStyled(text: string): void {
    this.stream.write(text)
  }

  /** Puts one line, cut to the terminal's width, in the place of the line that the cursor is in. */
  redrawLine(text: string): void {
    const width = this.columns === undefined || this.columns < 20 ? text.length : this.columns - 1
    this.stream.write(`\r${printable(text, Number.POSITIVE_INFINITY).slice(0, width)}\u001b[K`)
  }

  /** Empties the line that the cursor is in. */
  clearLine(): void {
    this.stream.write('\r\u001b[K')
  }
}
