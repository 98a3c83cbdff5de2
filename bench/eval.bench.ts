/**
 * `adapt eval --tasks` against lm-evaluation-harness on the same model, tasks and documents, in float32 on the CPU: requests a second at 0 and 5 shots,
 * and how far log-likelihoods are apart.
 *
 *   ADAPT_DATA=FOLDER npm run bench:eval -- [--limit 40] [--rounds 3] [--batch-sizes 1,8,64] [--threads 2] [--harness FOLDER]
 *     [--model FOLDER --tokenizer FOLDER] [--max-length N]
 *
 * ADAPT_DATA holds eval/TASK.test.jsonl and eval/TASK.validation.jsonl with `context`, `choices` and `answer`. Few-shot examples are the first of the
 * validation part. --max-length is the window of both sides in place of the model's own: where five examples do not fit in it, every context is cut at
 * a place of its own and there is nothing to share. The harness first runs all tasks at each batch size; then its best one and ours take turns.
 * Loading of models is left out, and of data on the harness's side; ours reads them each time. Prompts, tokenising and figures are in. The last line of
 * the output is one JSON object.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import {
  createModel,
  evaluateTasks,
  findTasks,
  loadModelFolder,
  loadTokenizer,
  passLimits,
  prepareTasks,
  saveModelFolder,
} from '@adapt-ts/adapt'
import { buildInfo, setNumThreads } from '@adapt-ts/torch'
import { benchFolder, findPeerPython, peerEnvironment, StepProcess } from './peer-process.js'
import { readOptions } from './read-options.js'
import { medianInterval, rounded } from './statistics.js'

const args = readOptions(import.meta.url, {
  limit: { type: 'string', default: '40' },
  rounds: { type: 'string', default: '3' },
  'batch-sizes': { type: 'string', default: '1,8,64' },
  threads: { type: 'string', default: '2' },
  tasks: { type: 'string', default: 'arc_easy,openbookqa,piqa,boolq,commonsense_qa,mmlu' },
  harness: { type: 'string' },
  model: { type: 'string' },
  tokenizer: { type: 'string' },
  'max-length': { type: 'string' },
})
delete process.env.OPENBLAS_CORETYPE
const data = process.env.ADAPT_DATA
if (!data) throw new Error('expected ADAPT_DATA to be set to the folder with eval/TASK.test.jsonl')
const [limit, rounds, threads] = [args.limit, args.rounds, args.threads].map(Number) as [
  number,
  number,
  number,
]
const names = args.tasks.split(',')
const SHOTS = [0, 5] as const

const scratch = mkdtempSync(join(tmpdir(), 'adapt-bench-eval-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
const tokenizerFolder = args.tokenizer ?? join(benchFolder, '..', 'examples', 'tokenizer')
const modelFolder = join(scratch, 'model')
mkdirSync(modelFolder)
const tokenizer = loadTokenizer(tokenizerFolder)
/** 30M parameters beside embedding and head. */
const SHAPE = {
  ...{
    hiddenSize: 512,
    intermediateSize: 1408,
    numHiddenLayers: 10,
    numAttentionHeads: 8,
    numKeyValueHeads: 4,
  },
  ...{ headDim: 64, maxPositionEmbeddings: 4096 },
}
if (args.model === undefined) {
  const made = createModel('llama-10m', { ...SHAPE, vocabSize: tokenizer.vocabSize, seed: 1 })
  saveModelFolder(made, modelFolder)
  made.dispose()
} else {
  for (const name of ['config.json', 'model.safetensors'])
    cpSync(join(args.model, name), join(modelFolder, name))
}
cpSync(tokenizerFolder, modelFolder, { recursive: true })
if (args['max-length'] !== undefined) {
  const path = join(modelFolder, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({ ...config, max_position_embeddings: Number(args['max-length']) }))
}

const files = names.map((name) => {
  const path = join(scratch, `${name}.yaml`)
  const part = (split: string) => resolve(data, 'eval', `${name}.${split}.jsonl`)
  writeFileSync(
    path,
    JSON.stringify({
      task: name,
      dataset_path: 'json',
      dataset_kwargs: { data_files: { test: part('test'), validation: part('validation') } },
      test_split: 'test',
      fewshot_split: 'validation',
      fewshot_config: { sampler: 'first_n' },
      output_type: 'multiple_choice',
      doc_to_text: 'context',
      doc_to_choice: 'choices',
      doc_to_target: 'answer',
    }),
  )
  return path
})

setNumThreads(threads)
const model = loadModelFolder(modelFolder, { device: 'cpu' })

/** Seconds of all tasks, and the log-likelihoods of their requests. */
interface Outcome {
  readonly seconds: number
  readonly logLikelihoods: readonly number[]
}

// The harness has read the task files before its clock starts, and the documents too.
const selection = await findTasks(files)

async function ours(numFewShot: number): Promise<Outcome> {
  const start = performance.now()
  const prepared = await prepareTasks(selection, { limit, numFewShot })
  const { tasks } = await evaluateTasks(
    model,
    tokenizer,
    { selection, prepared },
    {
      maxLength: model.config.maxPositionEmbeddings,
      ...passLimits(model, undefined),
      bootstrapIterations: 0,
    },
  )
  const logLikelihoods = tasks.flatMap(({ samples }) =>
    samples.flatMap(({ responses }) =>
      responses.map((response) => ('text' in response ? Number.NaN : response.logLikelihood)),
    ),
  )
  return { seconds: (performance.now() - start) / 1000, logLikelihoods }
}

const peer = new StepProcess<{ seconds: number; log_likelihoods: number[] }>(
  'the harness',
  findPeerPython(),
  [
    join(benchFolder, 'python', 'eval_peer.py'),
    ...['--model', modelFolder, '--threads', String(threads)],
    ...(args.harness ? ['--harness', args.harness] : []),
  ],
  { ...peerEnvironment(), HF_DATASETS_CACHE: join(scratch, 'datasets'), HF_DATASETS_OFFLINE: '1' },
)
async function theirs(numFewShot: number, batchSize: number): Promise<Outcome> {
  let seconds = 0
  const logLikelihoods: number[] = []
  for (const task of files) {
    const found = await peer.ask({ task, num_fewshot: numFewShot, limit, batch_size: batchSize })
    seconds += found.seconds
    logLikelihoods.push(...found.log_likelihoods)
  }
  return { seconds, logLikelihoods }
}

console.log(
  `LibTorch ${buildInfo().libtorchVersion}, ${threads} threads; a Llama of ${model.numParameters} parameters, ${args.model ? 'weights of its folder' : 'random weights'}, a window of ${model.config.maxPositionEmbeddings}; ${names.join(', ')}; ${limit} documents each`,
)
console.log(`the harness: ${JSON.stringify(await peer.read())}`)
const figures: Record<string, unknown> = {}
let largest = 0
for (const shots of SHOTS) {
  await ours(shots)
  const sizes: (readonly [size: number, seconds: number])[] = []
  for (const size of args['batch-sizes'].split(',').map(Number)) {
    const { seconds } = await theirs(shots, size)
    sizes.push([size, seconds])
    console.log(`${shots}-shot: the harness at batch size ${size}: ${rounded(seconds, 1)} s`)
  }
  const [best] = sizes.reduce((a, b) => (b[1] < a[1] ? b : a))
  const ratios: number[] = []
  const rates: (readonly [own: number, other: number])[] = []
  for (let round = 0; round < rounds; round++) {
    const [own, other] = [await ours(shots), await theirs(shots, best)]
    ratios.push(other.seconds / own.seconds)
    const count = own.logLikelihoods.length
    if (count !== other.logLikelihoods.length)
      throw new Error(`asked ${count}, the harness ${other.logLikelihoods.length}`)
    rates.push([count / own.seconds, count / other.seconds])
    largest = own.logLikelihoods.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - other.logLikelihoods[i]!)),
      largest,
    )
    console.log(
      `${shots}-shot, round ${round + 1}: ${count} requests, ${rounded(own.seconds, 2)} s, the harness ${rounded(other.seconds, 2)} s at batch size ${best}`,
    )
  }
  const { median, low, high } = medianInterval(ratios)
  figures[`requests_per_second_ratio_${shots}shot`] = rounded(median)
  figures[`requests_per_second_ratio_${shots}shot_range`] = [rounded(low), rounded(high)]
  figures[`requests_per_second_${shots}shot`] = rates.map(([own]) => rounded(own, 1))
  figures[`harness_batch_size_${shots}shot`] = best
}
await peer.quit()
model.dispose()
console.log(
  JSON.stringify({ ...figures, max_abs_loglikelihood_difference: Number(largest.toExponential(2)) }),
)
