import { describe, expect, it } from 'vitest'
import { METHODS } from '../../catalog/index.js'
import { safeIo } from '../terminal/cli-io.js'
import { type MethodsCommandOptions, methodsCommand } from './methods-command.js'

function methods(id?: string, options: MethodsCommandOptions = {}): string {
  let written = ''
  const stream = { write: (text: string) => (written += text), isTTY: false }
  methodsCommand(id, options, safeIo({ stdout: stream, stderr: stream, env: {} }))
  return written
}

describe('adapt methods', () => {
  it('lists every method on a line of its own, in 80 columns', () => {
    const lines = methods().split('\n')
    for (const { id } of METHODS) expect(lines.filter((line) => line.startsWith(`${id}  `))).toHaveLength(1)
    expect(lines.filter((line) => line.length > 80)).toEqual([])
    expect(lines.find((line) => line.startsWith('adapt  '))).toMatch(
      /^adapt +step +sample +loss +anchors +0 % +2\.7 %$/,
    )
  })

  it.each(METHODS.map(({ id }) => id))('shows %s with every option, in 80 columns', (id) => {
    const text = methods(id)
    const { about, page, signal, gate } = METHODS.find((method) => method.id === id)!
    expect(text.replace(/\s+/g, ' ')).toContain(`${id}: ${about}`)
    expect(text).toContain(page)
    for (const kind of [signal.kind, gate.kind]) expect(text).toMatch(new RegExp(`kind: ${kind}$`, 'm'))
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([])
  })

  it('says type, range and default of an option', () => {
    expect(methods('adapt-calibrated')).toContain('  ess: number in (0, 1), default 0.95\n')
    expect(methods('adapt')).toContain(
      '  refresh_every: whole number in [1, 1000000000] or "epoch", default 50\n',
    )
  })

  it('prints the same as JSON', () => {
    const all = JSON.parse(methods(undefined, { json: true })) as { id: string }[]
    expect(all.map(({ id }) => id)).toEqual(METHODS.map(({ id }) => id))
    const one = JSON.parse(methods('twin', { json: true })) as { gate: { options: unknown[] } }
    expect(one).toMatchObject({ id: 'twin', apply: 'loss', needs: {} })
    expect(one.gate.options).toContainEqual(expect.objectContaining({ key: 'slope', fallback: 1e-6 }))
  })

  it('refuses an id that there is not, with the nearest', () => {
    expect(() => methods('adapt-calibratd')).toThrow(
      expect.objectContaining({
        exitCode: 2,
        message: expect.stringContaining('received "adapt-calibratd" (did you mean "adapt-calibrated"?)'),
      }),
    )
  })
})
