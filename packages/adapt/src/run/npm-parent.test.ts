import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'

const root = mkdtempSync(path.join(os.tmpdir(), 'adapt-npm-parent-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const api = JSON.stringify(new URL('./npm-parent.js', import.meta.url).href)
/** Says whether npm is found above it, then waits until that is gone. */
const RUN = `
import { writeFileSync } from 'node:fs'
import { NpmParent } from ${api}
const npm = NpmParent.find()
const say = (text) => writeFileSync(process.argv[2], text + '\\n', { flag: 'a' })
say(npm === undefined ? 'alone' : npm.isGone ? 'gone already' : 'under npm')
if (npm === undefined) process.exit()
const timer = setInterval(() => { if (npm.isGone) { say('gone'); process.exit() } }, 20)
setTimeout(() => process.exit(), 20_000)
`
/** Stands for npm: a Node process with npm's title that runs a script in a shell. */
const NPM = `
import { spawn } from 'node:child_process'
process.title = 'npm run train'
spawn('sh', ['-c', process.env.npm_lifecycle_script], { stdio: 'ignore' })
setInterval(() => {}, 1000)
`

let said = ''
beforeEach(() => {
  said = path.join(mkdtempSync(path.join(root, 'case-')), 'said')
  writeFileSync(path.join(root, 'run.mjs'), RUN)
  writeFileSync(path.join(root, 'npm.mjs'), NPM)
  writeFileSync(said, '')
})

/** Starts a script as `npm run` does; `wrap` makes it out of the command that runs us. */
function npmRun(wrap: (command: string) => string): ChildProcess {
  const command = `'${process.execPath}' '${path.join(root, 'run.mjs')}' '${said}'`
  return spawn(process.execPath, [path.join(root, 'npm.mjs')], {
    stdio: 'ignore',
    env: { ...process.env, npm_lifecycle_event: 'train', npm_lifecycle_script: wrap(command) },
  })
}

async function lines(count: number): Promise<string[]> {
  for (;;) {
    const found = readFileSync(said, 'utf8').split('\n').filter(Boolean)
    if (found.length >= count) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe.skipIf(process.platform !== 'linux')('NpmParent', () => {
  it.each([
    ['in its shell', (command: string) => `${command}; true`],
    ['itself', (command: string) => `exec ${command}`],
    ['after another command', (command: string) => `true && ${command} 2>&1; true`],
  ])('notices that the npm that runs it %s was killed', async (_, wrap) => {
    const npm = npmRun(wrap)
    expect(await lines(1)).toEqual(['under npm'])
    npm.kill('SIGKILL')
    expect(await lines(2)).toEqual(['under npm', 'gone'])
  })

  it.each([
    ['with &', (command: string) => `${command} & wait`],
    ['by nohup', (command: string) => `nohup ${command}; true`],
    ['by setsid', (command: string) => `setsid ${command}; true`],
  ])('does not watch over a process that a script leaves behind %s', async (_, wrap) => {
    const npm = npmRun(wrap)
    expect(await lines(1)).toEqual(['alone'])
    npm.kill('SIGKILL')
  })

  it('does not watch a shell that was opened under npm', async () => {
    writeFileSync(
      path.join(root, 'shell.sh'),
      `'${process.execPath}' '${path.join(root, 'run.mjs')}' '${said}'\ntrue\n`,
    )
    const npm = npmRun(() => `sh '${path.join(root, 'shell.sh')}'; true`)
    expect(await lines(1)).toEqual(['alone'])
    npm.kill('SIGKILL')
  })

  it('does not watch a parent that is not npm, whatever the environment says', async () => {
    const child = spawn(process.execPath, [path.join(root, 'run.mjs'), said], {
      stdio: 'ignore',
      env: { ...process.env, npm_lifecycle_event: 'test', npm_lifecycle_script: 'vitest run' },
    })
    expect(await lines(1)).toEqual(['alone'])
    child.kill()
  })
})
