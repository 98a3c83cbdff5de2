/**
 * How long a user waits: for the help, for the first step of a run whose data is tokenised already, and for the tokenising itself.
 *
 *   npm run bench:startup -- [--rounds 8] [--mb 30] [--path FILE.jsonl] [--tokenizer FOLDER] [--processes 2]
 *
 * Everything is a process of its own, in rounds: `adapt --help`; `adapt train` of a scratch `llama-1m` over the examples' corpus, with every sample
 * alike and with anchors (`adapt-calibrated`), cut into its parts by the command's own marks (docs/profile.md); the token cache of `--mb` MB of
 * the corpus, again and again, beside `datasets.map` of Hugging Face with as many processes, in alternating order. That needs a Python with datasets and
 * tokenizers in ADAPT_PEER_PYTHON. Ids must be equal. The last line is one JSON object; exit code 1 where a bound of it is missed.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { benchFolder, currentBuild } from './peer-process.js'
import { readOptions } from './read-options.js'
import type { StartMarks } from './startup-marks.js'
import { medianInterval, rounded } from './statistics.js'

const args = readOptions(import.meta.url, {
  rounds: { type: 'string', default: '8' },
  mb: { type: 'string', default: '30' },
  path: { type: 'string' },
  tokenizer: { type: 'string', default: join(benchFolder, '..', 'examples', 'tokenizer') },
  processes: { type: 'string', default: '2' },
})
const MAX_HELP_S = 0.3
const MAX_FIRST_STEP_S = 2.5
const MIN_TOKENIZE_RATIO = 1
/** What ends with each mark of `adapt train`. */
const PARTS = {
  node: 'Node',
  'adapt:command': 'command line',
  'adapt:config': 'config',
  'adapt:program': 'imports',
  'adapt:engine': 'LibTorch',
  'adapt:inputs': 'data',
  'adapt:model': 'order, model',
  'adapt:folder': 'run folder',
  'adapt:first-step': 'first step',
} as const
const METHODS = ['uniform', 'adapt-calibrated'] as const

const examples = join(benchFolder, '..', 'examples')
const adapt = join(benchFolder, '..', 'packages', 'adapt', 'bin', 'adapt.mjs')
const folder = mkdtempSync(join(tmpdir(), 'adapt-startup-'))
try {
  process.exitCode = (await measure()) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function measure(): Promise<boolean> {
  const rounds = Number(args.rounds)
  const { libtorch } = currentBuild()
  console.log(
    `Node ${process.versions.node}, LibTorch ${libtorch.version}, ${rounds} rounds after one that is not counted`,
  )
  const configs = METHODS.map(writeConfig)
  const file = args.path === undefined ? writeTexts(Number(args.mb) * 1e6) : resolve(args.path)
  const python = process.env.ADAPT_PEER_PYTHON
  if (!python)
    console.log('tokenising: skipped, needs a Python with datasets and tokenizers in ADAPT_PEER_PYTHON')

  const help: number[] = []
  const firstSteps = METHODS.map((): Record<string, number>[] => [])
  const ours: Tokenized[] = []
  const peers: Tokenized[] = []
  for (let round = 0; round <= rounds; round++) {
    const isCounted = round > 0
    const seconds = await timeHelp()
    if (isCounted) help.push(seconds)
    for (const [i, config] of configs.entries()) {
      const parts = await timeFirstStep(config)
      if (isCounted) firstSteps[i]!.push(parts)
    }
    if (!python) continue
    const sides = [() => ours.push(tokenizeOurs(file)), () => peers.push(tokenizePeer(python, file))]
    for (const side of round % 2 === 0 ? sides : sides.reverse()) side()
    requireSameIds(ours.at(-1)!, peers.at(-1)!)
  }

  const helpS = medianInterval(help)
  console.log(`adapt --help: ${shown(helpS)} s`)
  for (const [i, method] of METHODS.entries()) printParts(method, firstSteps[i]!)
  const firstStepS = medianInterval(firstSteps[0]!.map(({ all }) => all!))
  const ratio = python ? printTokenizing(ours.slice(1), peers.slice(1)) : undefined
  console.log(
    JSON.stringify({
      help_s: rounded(helpS.median),
      first_step_s: rounded(firstStepS.median),
      tokenize_ratio: ratio === undefined ? null : rounded(ratio),
    }),
  )
  return (
    helpS.median <= MAX_HELP_S &&
    firstStepS.median <= MAX_FIRST_STEP_S &&
    (ratio === undefined || ratio >= MIN_TOKENIZE_RATIO)
  )
}

function writeConfig(method: string): string {
  const config = {
    model: { init: 'scratch', preset: 'llama-1m' },
    tokenizer: join(examples, 'tokenizer'),
    data: {
      train: [{ path: join(examples, 'corpus', '*.jsonl.gz') }],
      max_length: 256,
      packing: true,
      cache_dir: join(folder, 'cache'),
    },
    method,
    anchors: method === 'uniform' ? [] : [{ path: join(examples, 'anchors', '*.jsonl') }],
    training: { max_steps: 1, per_device_train_batch_size: 16 },
    output_dir: join(folder, 'run'),
  }
  const path = join(folder, `${method}.yaml`)
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(config))
  return path
}

/** The examples' corpus, again and again, until it is large enough; ids stay apart. */
function writeTexts(numBytes: number): string {
  const corpus = join(examples, 'corpus')
  const lines = readdirSync(corpus)
    .sort()
    .flatMap((name) =>
      gunzipSync(readFileSync(join(corpus, name)))
        .toString()
        .trim()
        .split('\n'),
    )
  const records = lines.map((line) => JSON.parse(line) as { id: string; text: string })
  const out: string[] = []
  for (let i = 0, size = 0; size < numBytes; i++) {
    const { id, text } = records[i % records.length]!
    const line = JSON.stringify({ id: `${id} ${Math.floor(i / records.length)}`, text })
    out.push(line)
    size += Buffer.byteLength(line) + 1
  }
  const path = join(folder, 'texts.jsonl')
  writeFileSync(path, `${out.join('\n')}\n`)
  return path
}

async function timeHelp(): Promise<number> {
  const begun = performance.now()
  const { status } = spawnSync(process.execPath, [adapt, '--help'], { stdio: 'ignore' })
  if (status !== 0) throw new Error(`adapt --help ended with ${status}`)
  return (performance.now() - begun) / 1e3
}

/** Seconds of each part, and of all, from the start of the process to the end of its first step. */
async function timeFirstStep(config: string): Promise<Record<string, number>> {
  const marksModule = new URL('./startup-marks.js', import.meta.url).href
  const command = ['--import', marksModule, adapt, 'train', config, '--overwrite', '--quiet']
  const begun = performance.timeOrigin + performance.now()
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] })
  let text = ''
  child.stdio[3]!.on('data', (bytes: Buffer) => {
    text += bytes.toString()
  })
  const code = await new Promise<number | null>((done) => child.once('close', done))
  if (code !== 0) throw new Error(`adapt train ended with ${code}`)
  const { origin, marks } = JSON.parse(text) as StartMarks
  const parts: Record<string, number> = {}
  let before = begun - origin
  for (const [mark, part] of Object.entries(PARTS)) {
    const at = marks[mark]
    if (at === undefined || at < before) throw new Error(`the run has no mark ${mark}, or not in its place`)
    parts[part] = (at - before) / 1e3
    before = at
  }
  return { ...parts, all: (before - (begun - origin)) / 1e3 }
}

function printParts(method: string, starts: readonly Record<string, number>[]): void {
  const columns = [...Object.values(PARTS), 'all'].map(
    (part) => `${part} ${shown(medianInterval(starts.map((start) => start[part]!)))}`,
  )
  console.log(`first step, ${method} (s): ${columns.join('; ')}`)
}

interface Tokenized {
  readonly seconds: number
  readonly load_seconds?: number
  readonly documents: number
  readonly tokens: number
  readonly hash: string
}

function tokenizeOurs(file: string): Tokenized {
  const program = fileURLToPath(new URL('./startup-tokenize.js', import.meta.url))
  const cache = join(folder, 'tokens')
  rmSync(cache, { recursive: true, force: true })
  return answerOf(process.execPath, [program, file, args.tokenizer, cache])
}

function tokenizePeer(python: string, file: string): Tokenized {
  const program = join(benchFolder, 'python', 'tokenize_peer.py')
  const cache = join(folder, 'peer')
  rmSync(cache, { recursive: true, force: true })
  return answerOf(python, [program, file, join(args.tokenizer, 'tokenizer.json'), cache, args.processes])
}

function answerOf(command: string, words: readonly string[]): Tokenized {
  if (!existsSync(command)) throw new Error(`${command}: there is no such program`)
  const { status, stdout } = spawnSync(command, words, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${command} ${words[0]} ended with ${status}`)
  return JSON.parse(stdout) as Tokenized
}

function requireSameIds(ours: Tokenized, peer: Tokenized): void {
  if (ours.hash === peer.hash) return
  throw new Error(
    `ids differ: ${ours.tokens} of ${ours.documents} documents, the peer's ${peer.tokens} of ${peer.documents}`,
  )
}

/** @returns Documents a second, ours over the peer's: the median of the rounds. */
function printTokenizing(ours: readonly Tokenized[], peers: readonly Tokenized[]): number {
  const { documents, tokens } = ours[0]!
  const speed = (side: readonly Tokenized[]) => medianInterval(side.map(({ seconds }) => documents / seconds))
  const ratio = medianInterval(ours.map(({ seconds }, i) => peers[i]!.seconds / seconds))
  const withLoading = ours.map(({ seconds }, i) => (peers[i]!.seconds + peers[i]!.load_seconds!) / seconds)
  console.log(
    `tokenising ${documents} documents, ${tokens} tokens, equal ids; documents/s: ours, from file to cache, ${shown(speed(ours), 0)}; ` +
      `datasets.map alone with ${args.processes} processes ${shown(speed(peers), 0)}`,
  )
  console.log(
    `tokenising, ratio ${shown(ratio)}; with the peer's reading of the file ${shown(medianInterval(withLoading))}`,
  )
  return ratio.median
}

function shown({ median, low, high }: ReturnType<typeof medianInterval>, digits = 3): string {
  return `${rounded(median, digits)} [${rounded(low, digits)}, ${rounded(high, digits)}]`
}
