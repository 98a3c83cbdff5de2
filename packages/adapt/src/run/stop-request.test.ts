import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'

const api = JSON.stringify(new URL('./stop-request.js', import.meta.url).href)
/** Watches with Node's handlers or the native ones, is told to hang up, and says what it makes of it. */
const RUN = `
import { StopRequest } from ${api}
const stop = new StopRequest()
if (process.argv.at(-1) === 'native') stop.watchNatively()
process.kill(process.pid, 'SIGHUP')
setTimeout(() => {
  process.stdout.write(String(stop.signal))
  process.exit()
}, 200)
`

function hangUp(how: string, command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { _: none, ...rest } = process.env
  const [name, ...args] = [...command, process.execPath, '--input-type=module', '-e', RUN, how]
  const child = spawn(name!, args, { env: { ...rest, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  return new Promise((resolve) => child.on('close', (code) => resolve(`${output} ${code}`)))
}

describe.each(['early', 'native'])('a hang-up (%s handlers)', (how) => {
  it('asks a run to stop', async () => {
    expect(await hangUp(how, [])).toBe('SIGHUP 0')
  })

  it('is ignored under nohup, which Node takes the signal back from', async () => {
    expect(await hangUp(how, [], { _: '/usr/bin/nohup' })).toBe('undefined 0')
  })

  it.skipIf(process.platform !== 'linux')('is ignored when the parent ignores it', async () => {
    const script = 'trap "" HUP; "$@"; true'
    expect(await hangUp(how, ['sh', '-c', script, 'sh'])).toBe('undefined 0')
  })
})
