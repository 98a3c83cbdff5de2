import { describe, expect, it } from 'vitest'
import { SafeStream } from './safe-stream.js'

function capture(isTTY: boolean, columns?: number) {
  let text = ''
  const stream = new SafeStream({
    isTTY,
    write: (piece) => (text += piece),
    ...(columns === undefined ? {} : { columns }),
  })
  return { stream, text: () => text }
}
const ESC = '\u001b'

describe('a safe stream', () => {
  it('shows what steers a terminal, and keeps line breaks and tabs', () => {
    const { stream, text } = capture(true)
    stream.write(`a${ESC}[2J\tb\u202e\r\n`)
    expect(text()).toBe('a\\u{1b}[2J\tb\\u{202e}\\u{d}\n')
  })

  it('keeps a line one line', () => {
    const { stream, text } = capture(false)
    stream.line('warning: x\nerror: forged')
    expect(text()).toBe('warning: x\\u{a}error: forged\n')
  })

  it('gives the words of a model to a pipe as they are, and to a terminal without its commands', () => {
    const words = `👩\u200d💻 ${ESC}[31m\n`
    const pipe = capture(false)
    pipe.stream.writeData(words)
    expect(pipe.text()).toBe(words)
    const terminal = capture(true)
    terminal.stream.writeData(words)
    expect(terminal.text()).toBe('👩\u200d💻 \\u{1b}[31m\n')
  })

  it('redraws one line in the width of the terminal', () => {
    const { stream, text } = capture(true, 21)
    stream.redrawLine(`${'x'.repeat(19)}${ESC}[2J`)
    expect(text()).toBe(`\r${'x'.repeat(19)}\\${ESC}[K`)
  })
})
