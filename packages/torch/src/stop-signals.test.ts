import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'

/** Runs a program in a process of its own; resolves with its output and how it ended. */
function run(program: string, onLine: (line: string, kill: (signal: NodeJS.Signals) => void) => void) {
  const api = JSON.stringify(new URL('./index.js', import.meta.url).href)
  const child = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `import * as torch from ${api}\n${program}`,
  ])
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n').filter(Boolean)) {
      output += `${line}\n`
      onLine(line, (signal) => child.kill(signal))
    }
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  return new Promise<{ output: string; code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ output, code, signal }))
  })
}

/** Native calls that keep the event loop from turning until the test has sent what it wants to send. */
const BUSY = `
const matrix = torch.ones([600, 600])
const work = () => torch.scope(() => { torch.matmul(matrix, matrix) })
const until = (isDone) => { for (let i = 0; i < 1e6 && !isDone(); i++) work() }
`

describe('watchStopSignals', () => {
  it('notices a signal while the event loop stands still, and keeps the first', async () => {
    const { output, code } = await run(
      `${BUSY}
      import { writeSync } from 'node:fs'
      const stop = torch.watchStopSignals(['SIGINT', 'SIGTERM', 'SIGUSR1'])
      writeSync(1, 'none ' + stop.received + '\\n')
      until(() => stop.received)
      writeSync(1, 'got ' + stop.received + '\\n')
      for (let i = 0; i < 200; i++) work()
      writeSync(1, 'still ' + stop.received + '\\n')
      process.exit(7)`,
      (line, kill) => {
        if (line.startsWith('none')) kill('SIGUSR1')
        if (line.startsWith('got')) kill('SIGTERM')
      },
    )
    expect(output).toBe('none undefined\ngot SIGUSR1\nstill SIGUSR1\n')
    expect(code).toBe(7)
  })

  it('leaves at once with 130 on a SIGINT after the first signal', async () => {
    const { output, code } = await run(
      `${BUSY}
      import { writeSync } from 'node:fs'
      const stop = torch.watchStopSignals(['SIGINT', 'SIGTERM'])
      writeSync(1, 'ready\\n')
      until(() => stop.received)
      const since = performance.now()
      until(() => performance.now() - since > 25)
      writeSync(1, 'got ' + stop.received + '\\n')
      until(() => false)
      writeSync(1, 'not reached\\n')`,
      (line, kill) => kill(line === 'ready' ? 'SIGTERM' : 'SIGINT'),
    )
    expect(output).toBe('ready\ngot SIGTERM\n')
    expect(code).toBe(130)
  })

  it('takes a SIGINT that is handed on twice at once for one', async () => {
    const { output, code } = await run(
      `const stop = torch.watchStopSignals(['SIGINT'])
      for (let i = 0; i < 3; i++) process.kill(process.pid, 'SIGINT')
      console.log('got ' + stop.received)`,
      () => {},
    )
    expect(output).toBe('got SIGINT\n')
    expect(code).toBe(0)
  })

  it('gives the signals back', async () => {
    const { output, code } = await run(
      `process.on('SIGTERM', () => { console.log('handled by node'); process.exit(9) })
      const stop = torch.watchStopSignals(['SIGTERM'])
      process.kill(process.pid, 'SIGTERM')
      console.log('noted ' + stop.received)
      stop[Symbol.dispose]()
      setTimeout(() => {}, 60_000)
      setImmediate(() => process.kill(process.pid, 'SIGTERM'))`,
      () => {},
    )
    expect(output).toBe('noted SIGTERM\nhandled by node\n')
    expect(code).toBe(9)
  })
})
