#!/usr/bin/env node
// Makes the folder that scripts/device-check.sh needs on a bare machine with a GPU: Node, packages, compiled TypeScript,
// sources, goldens and examples. The same tree gives the same bytes.
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createProgress } from '../packages/torch/setup/progress.mjs'
import { contentHash, hashOf } from '../packages/torch/setup/stamp.mjs'
import { carriedFiles } from './device/carried-files.mjs'
import { compileTypeScript } from './setup/compile-typescript.mjs'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const MIB = 2 ** 20

function readOptions() {
  try {
    return parseArgs({
      options: {
        out: { type: 'string', default: path.join(root, 'build', 'device-pack') },
        'limit-mib': { type: 'string', default: '50' },
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    process.stderr.write(`device-pack: ${error.message.split('\n')[0]}\n`)
    process.exit(2)
  }
}

const run = (command, args, options = {}) =>
  execFileSync(command, args, {
    cwd: root,
    maxBuffer: 2 ** 30,
    stdio: ['pipe', 'pipe', 'inherit'],
    ...options,
  })
const git = (...args) => run('git', args).toString('utf8').trim()

/** The running Node without its symbol table, compressed; made again only when Node changes. */
function packNode(out) {
  const target = path.join(out, 'node.xz')
  const stamp = path.join(out, 'node.stamp')
  const wanted = `${contentHash(process.execPath)}\n`
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return target
  const stripped = path.join(tmpdir(), `adapt-device-node-${process.pid}`)
  run('strip', ['-o', stripped, process.execPath])
  const compressed = run('xz', ['-9', '-T2', '-c', stripped])
  rmSync(stripped)
  writeFileSync(target, compressed)
  writeFileSync(stamp, wanted)
  return target
}

/** One archive of the files, with nothing in it that depends on when or by whom it was made. */
function packTree(out, files, time) {
  const target = path.join(out, 'tree.tar.xz')
  const same = [
    '--sort=name',
    `--mtime=@${time}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--format=gnu',
  ]
  const list = ['--no-recursion', '--null', '--files-from=-', '--mode=u+rw,go=rX']
  const archive = run('tar', ['-c', ...same, ...list, '-f', '-'], { input: files.join('\0') })
  writeFileSync(`${target}.tmp`, run('xz', ['-9', '-T2', '-c'], { input: archive }))
  renameSync(`${target}.tmp`, target)
  return target
}

const options = readOptions()
if (options.help) {
  process.stdout.write(
    'node scripts/device-pack.mjs [--out build/device-pack] [--limit-mib 50]: makes the folder for scripts/device-check.sh.\n',
  )
  process.exit(0)
}
await compileTypeScript(root, createProgress({ quiet: false }))
const out = path.resolve(options.out)
mkdirSync(out, { recursive: true })
const { groups, leftOut } = carriedFiles(root)
const time = git('log', '-1', '--format=%ct')
const files = [packNode(out), packTree(out, Object.values(groups).flat().sort(), time)]
copyFileSync(path.join(root, 'scripts', 'device-check.sh'), path.join(out, 'device-check.sh'))
const described = files.map((file) => ({
  file: path.basename(file),
  bytes: statSync(file).size,
  sha256: contentHash(file),
}))
const totalBytes = described.reduce((sum, { bytes }) => sum + bytes, 0)
const pack = {
  commit: git('rev-parse', 'HEAD'),
  changed: git('status', '--porcelain', '--untracked-files=no') !== '',
  node: process.version,
  platform: `${process.platform}-${process.arch}`,
  id: hashOf(described).slice(0, 16),
  files: described,
  totalBytes,
  contents: Object.fromEntries(
    Object.entries(groups).map(([name, list]) => [
      name,
      {
        files: list.length,
        bytes: list.reduce((sum, file) => sum + statSync(path.join(root, file)).size, 0),
      },
    ]),
  ),
  leftOut,
}
writeFileSync(path.join(out, 'pack.json'), `${JSON.stringify(pack, null, 2)}\n`)
const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`
for (const [name, { files: count, bytes }] of Object.entries(pack.contents))
  console.log(`${name}: ${count} files, ${mib(bytes)}`)
for (const { file, bytes } of described) console.log(`${file}: ${mib(bytes)}`)
console.log(`left out: ${leftOut.join(', ')}`)
console.log(
  `${out}: ${mib(totalBytes)} of commit ${pack.commit.slice(0, 9)}${pack.changed ? ' with changes' : ''}`,
)
if (totalBytes > Number(options['limit-mib']) * MIB) {
  console.error(`device-pack: ${mib(totalBytes)} is more than the limit of ${options['limit-mib']} MiB`)
  process.exitCode = 1
}
