import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BIN, cliFolder, dataUrl } from './cli-folder.test.fixture.js'

const cli = cliFolder()
const { adapt } = cli

describe('report', () => {
  it('is written from a run folder without loading the engine', async () => {
    await mkdir(join(cli.path(), 'logged'))
    await cp(join(cli.path(), 'conf/run.yaml'), join(cli.path(), 'logged/config.yaml'))
    const { stdout: missing, ...refused } = await adapt(['report', 'logged'])
    expect(refused).toEqual({
      exitCode: 2,
      stderr: 'error: logged: expected the folder of a run, found no events.jsonl in it\n',
    })
    await writeFile(join(cli.path(), 'logged/events.jsonl'), '')
    // What lies in the process's memory at its end.
    const watch = `process.on('exit', () => {
      const loaded = process.report.getReport().sharedObjects.filter((name) => /torch[^/]*$/.test(name))
      process.stderr.write(String(loaded.length))
    })`
    const written = await adapt(['report', 'logged', '--output', 'page.html'], {
      nodeArgs: ['--import', dataUrl(watch)],
    })
    expect(written).toEqual({ exitCode: 0, stdout: 'report  page.html\n', stderr: '0' })
    expect(await readFile(join(cli.path(), 'page.html'), 'utf8')).toContain('ADAPT run logged')
    expect(missing).toBe('')
  })
})

describe('the process', () => {
  it('prints the schema as JSON', async () => {
    const { exitCode, stdout } = await adapt(['schema'])
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ type: 'object', additionalProperties: false })
  })

  it('ends quietly when nobody reads its output', async () => {
    for (const args of [['schema'], ['data', 'conf/run.yaml']]) {
      expect(await adapt(args, { closeStdout: true })).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    }
  })

  it('takes over SIGUSR1 before anything else, so that Node does not open its inspector', async () => {
    const watch = `const on = process.on
      const seen = []
      process.on = function (name, ...rest) { seen.push(name); return on.call(this, name, ...rest) }
      on.call(process, 'exit', () => process._rawDebug(seen[0] + ' ' + process.listenerCount('SIGUSR1')))`
    const { stderr } = await adapt(['schema'], { nodeArgs: ['--import', dataUrl(watch)] })
    expect(stderr).toBe('SIGUSR1 1\n')
  })

  it('does not lose a SIGUSR1 that comes before a run listens for it', async () => {
    const send = `const on = process.on
      process.on = function (name, ...rest) {
        if (name === 'SIGUSR1') setImmediate(() => process.kill(process.pid, 'SIGUSR1'))
        return on.call(this, name, ...rest)
      }`
    const { exitCode, stderr } = await adapt(['doctor'], { nodeArgs: ['--import', dataUrl(send)] })
    expect({ exitCode, stderr }).toEqual({ exitCode: 75, stderr: '' })
  })

  it('says what to do when it was not built', async () => {
    const bare = join(cli.path(), 'bare/bin')
    await mkdir(bare, { recursive: true })
    await cp(BIN, join(bare, 'adapt.mjs'))
    expect(await adapt(['--help'], { bin: join(bare, 'adapt.mjs') })).toEqual({
      exitCode: 5,
      stdout: '',
      stderr: 'error: adapt is not built: run `npm run setup` first\n',
    })
  })

  it('hands the choice of a LibTorch to the builder of the add-on', async () => {
    const refused = await adapt(['setup', '--print', '--libtorch', join(cli.path(), 'no-libtorch')])
    expect(refused).toMatchObject({ exitCode: 5, stderr: '' })
    const decision = JSON.parse(refused.stdout)
    expect(decision.chosen).toBeUndefined()
    expect(decision.refused).toContain('no-libtorch')
  })

  it('diagnoses the machine, and names the problem when the engine is missing', async () => {
    const { exitCode, stdout, stderr } = await adapt(['doctor', '--json'])
    const diagnosis = JSON.parse(stdout)
    expect(stderr).toBe('')
    expect(diagnosis.node).toBe(process.versions.node)
    expect(diagnosis.packages.zod).toMatch(/^4\./)
    const { processGroups } = diagnosis.engine as { readonly processGroups: readonly string[] }
    expect(processGroups.filter((name) => name !== 'nccl')).toEqual(['gloo'])
    expect(exitCode).toBe(diagnosis.engine.isReady ? 0 : 5)

    const watch = `process.env.ADAPT_TORCH_BUILD_DIR = '/nonexistent'`
    const missing = await adapt(['doctor'], { nodeArgs: ['--import', dataUrl(watch)] })
    expect(missing.exitCode).toBe(5)
    expect(missing.stdout).toMatch(/NOT READY \(ADDON_NOT_BUILT\): [\s\S]*npx\s+adapt-torch-build/)
  })
})
