#!/usr/bin/env node
// Packs both packages, installs them into an empty project and runs the documented examples there, as a user would.
// The add-on is that of this clone when its hash says that it is the same build; --build compiles it anew.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { documentedExample } from './pack/documented-example.mjs'
import { tarballFaults } from './pack/tarball-faults.mjs'

const projectDir = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const examples = {
  parts: 'README.md',
  run: 'README.md',
  tensors: 'docs/library.md',
  options: 'docs/library.md',
  custom: 'docs/library.md',
}
const buildDir = path.join(projectDir, 'packages/torch/build')
const unreachable = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/
const { values: options } = parseArgs({ options: { build: { type: 'boolean' }, keep: { type: 'boolean' } } })

const work = mkdtempSync(path.join(os.tmpdir(), 'adapt-test-pack-'))
const app = path.join(work, 'app')
const torchDir = path.join(app, 'node_modules/@adapt-ts/torch')
// What belongs to this clone must not help the project along.
const { ADAPT_TORCH_BUILD_DIR: _, NODE_PATH: __, npm_config_workspace: ___, ...inherited } = process.env
// One thread, as in the tests: engine threads that wait for each other on a busy machine take minutes.
const env = { ADAPT_NUM_THREADS: '1', ...inherited }

class Failure extends Error {}

function run(program, args, { cwd = app } = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, env, encoding: 'utf8' })
  if (error) throw error
  return { status, stdout, stderr }
}

function runOrFail(program, args, settings) {
  const result = run(program, args, settings)
  const shown = [program, ...args].join(' ')
  if (result.status !== 0)
    throw new Failure(`${shown} ended with ${result.status}:\n${result.stdout}${result.stderr}`)
  return result.stdout
}

function expectThat(holds, sentence) {
  if (!holds) throw new Failure(sentence)
}

function timed(label, action) {
  const beganMs = performance.now()
  const result = action()
  console.log(`${label}: ${((performance.now() - beganMs) / 1000).toFixed(1)} s`)
  return result
}

function pack() {
  return ['torch', 'adapt'].map((name) => {
    const dir = path.join(projectDir, 'packages', name)
    const listed = runOrFail('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', work], {
      cwd: dir,
    })
    return path.join(work, JSON.parse(listed)[0].filename)
  })
}

/** @returns {boolean} whether it could be done; the registry may be out of reach */
function install(tarballs) {
  mkdirSync(app)
  writeFileSync(path.join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n')
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=0']
  const { status, stderr } = run('npm', ['install', ...flags, ...tarballs])
  if (status === 0) return true
  const reason = unreachable.exec(stderr)
  if (reason === null) throw new Failure(`npm install failed:\n${stderr}`)
  console.log(`test:pack skipped: the npm registry cannot be reached (${reason[0]})`)
  return false
}

function checkContents() {
  for (const name of ['torch', 'adapt']) {
    const faults = tarballFaults(path.join(app, 'node_modules/@adapt-ts', name))
    expectThat(faults.length === 0, `@adapt-ts/${name}:\n  ${faults.join('\n  ')}`)
  }
}

function checkMissingAddon() {
  const doctor = run('node_modules/.bin/adapt', ['doctor'])
  expectThat(
    doctor.status === 5 && /add-on not built: run `npx\s+adapt-torch-build`/.test(doctor.stdout),
    doctor.stdout,
  )
}

function buildAddon() {
  const own = JSON.parse(readFileSync(path.join(buildDir, 'current.json'), 'utf8'))
  if (!options.build) {
    for (const name of [own.hash, 'chosen-libtorch']) {
      const from = path.join(buildDir, name)
      if (existsSync(from)) cpSync(from, path.join(torchDir, 'build', name), { recursive: true })
    }
  }
  const output = runOrFail('node_modules/.bin/adapt-torch-build', [])
  const theirs = JSON.parse(readFileSync(path.join(torchDir, 'build/current.json'), 'utf8'))
  expectThat(
    theirs.hash === own.hash,
    `the package builds ${theirs.hash}, this clone ${own.hash}:\n${output}`,
  )
  expectThat(/up to date/.test(output) === !options.build, output)
  expectThat(runOrFail('node_modules/.bin/adapt', ['doctor']).includes(torchDir), 'another add-on was loaded')
}

function compileExamples() {
  for (const [name, file] of Object.entries(examples)) {
    const markdown = readFileSync(path.join(projectDir, file), 'utf8')
    writeFileSync(path.join(app, `${name}.ts`), documentedExample(markdown, name))
  }
  const compilerOptions = {
    strict: true,
    noUncheckedIndexedAccess: true,
    module: 'NodeNext',
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable'],
    typeRoots: [path.join(projectDir, 'node_modules/@types')],
    types: ['node'],
    outDir: 'out',
  }
  writeFileSync(path.join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  runOrFail(process.execPath, [path.join(projectDir, 'node_modules/typescript/bin/tsc'), '-p', '.'])
}

function checkTour() {
  const printed = runOrFail(process.execPath, ['out/tensors.js'])
  expectThat(printed === '[ 0.5, 0.5, 0.5, 0.5 ]\n', `the tensors are wrong: ${printed}`)
  const tour = readFileSync(path.join(projectDir, 'docs/library.md'), 'utf8')
  const promised = /^It prints `(.*)`\.$/m.exec(tour)?.[1]
  const output = runOrFail(process.execPath, ['out/options.js'])
  expectThat(output === `${promised}\n`, `docs/library.md promises "${promised}", but it prints "${output}"`)
}

function checkParts() {
  const output = runOrFail(process.execPath, ['out/parts.js'])
  const steps = [...output.matchAll(/^step (\d+): loss (\d+\.\d+), weight of sql (\d\.\d+)$/gm)].map(
    ([, step, loss, mass]) => ({ step: Number(step), loss: Number(loss), mass: Number(mass) }),
  )
  const [first, last] = [steps[0], steps.at(-1)]
  expectThat(steps.length === 30 && last.step === 30, output)
  expectThat(Math.abs(first.loss - Math.log(256)) < 0.3, `a fresh model knows something:\n${output}`)
  expectThat(last.loss < 0.7 * first.loss, `the loss does not fall:\n${output}`)
  expectThat(first.mass < 0.6 && last.mass > first.mass + 0.1, `the anchors change no weights:\n${output}`)
}

function checkRun() {
  for (const name of ['tokenizer', 'corpus/sql-commands.jsonl.gz', 'corpus/noise.jsonl.gz']) {
    cpSync(path.join(projectDir, 'examples', name), path.join(app, 'examples', name), { recursive: true })
  }
  const output = runOrFail(process.execPath, ['out/run.js'])
  const losses = output
    .trim()
    .split('\n')
    .map((line) => Number(line.split(' ')[1]))
  expectThat(losses.length === 10 && losses.at(-1) < losses[0], output)
  for (const file of ['model/model.safetensors', 'report.html', 'events.jsonl']) {
    expectThat(existsSync(path.join(app, 'runs/library', file)), `runs/library/${file} is missing`)
  }
  runOrFail(process.execPath, ['out/custom.js'])
  const config = readFileSync(path.join(app, 'runs/custom/config.yaml'), 'utf8')
  expectThat(/kind: custom\n\s+name: band\n\s+options:\n\s+centre: 6\n/.test(config), config)
}

try {
  timed('set-up of the clone', () =>
    runOrFail(process.execPath, ['scripts/setup.mjs', '--quiet'], { cwd: projectDir }),
  )
  const tarballs = timed('npm pack', pack)
  if (timed('npm install into an empty project', () => install(tarballs))) {
    checkContents()
    timed('without the add-on', checkMissingAddon)
    timed(options.build ? 'adapt-torch-build, compiling' : 'adapt-torch-build, same build', buildAddon)
    timed('type check of the examples', compileExamples)
    timed('example "parts"', checkParts)
    timed('examples "run" and "custom"', checkRun)
    timed('examples of docs/library.md', checkTour)
    console.log('test:pack passed')
  }
} catch (error) {
  console.error(`test:pack failed: ${error instanceof Failure ? error.message : error.stack}`)
  process.exitCode = 1
} finally {
  if (options.keep) console.log(`kept ${work}`)
  else rmSync(work, { recursive: true, force: true })
}
