import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { loadConfig } from '../config/index.js'
import { AdaptError } from '../errors.js'
import { loadTokenizer } from '../tokenize/index.js'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import type { TrainingOutcome, TrainingRequest } from './run-parts.js'
import { runTraining } from './run-training.js'

const WORDS =
  'the model reads data and shapes weights while each sample of the text is close to examples'.split(' ')
const SHAPE =
  '{ hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2, ' +
  'num_key_value_heads: 1, max_position_embeddings: 64, tie_word_embeddings: true }'

/** Sentences that follow a rule a small model can learn. */
const sentence = (seed: number) =>
  Array.from({ length: 12 }, (_, i) => WORDS[(seed * 5 + i * (1 + (seed % 3))) % WORDS.length]).join(' ')

/** A folder with a small corpus, a tokenizer and a config, in which tiny models are trained. Use with `using`. */
export class Workshop implements Disposable {
  readonly root = mkdtempSync(path.join(os.tmpdir(), 'adapt-run-'))
  readonly vocabSize: number

  constructor() {
    this.vocabSize = loadTokenizer(writeTinyTokenizer(this.file('tokenizer'))).vocabSize
    const texts = (count: number, first: number) =>
      Array.from({ length: count }, (_, i) => ({ text: sentence(first + i) }))
    this.putLines('web.jsonl', texts(60, 0))
    this.putLines(
      'code.jsonl',
      Array.from({ length: 30 }, (_, i) => ({ text: `{ "${WORDS[i % 16]}": ${i * 37} }` })),
    )
    // Of the same kind as the corpus; with an end of their own they do not stand in it.
    const anchors = texts(9, 100).map(({ text }) => ({ text: `${text} once more` }))
    this.putLines('anchors.jsonl', anchors)
    this.putLines(
      'held-out.jsonl',
      texts(5, 200).map((record, i) => ({ ...record, source: i % 2 ? 'odd' : 'even' })),
    )
    this.putLines('long-prompts.jsonl', [{ prompt: sentence(1).repeat(9), completion: ' the data' }])
    writeFileSync(this.file('blank.jsonl'), '\n')
  }

  file(name: string): string {
    return path.join(this.root, name)
  }

  /** The run folder of a run by name. */
  runFolder(name: string): string {
    return this.file(`runs/${name}`)
  }

  private putLines(name: string, records: readonly unknown[]): void {
    writeFileSync(this.file(name), records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  }

  /** Runs the common config with these assignments over it. */
  async train(
    name: string,
    set: readonly string[] = [],
    options: Partial<TrainingRequest> = {},
  ): Promise<{ outcome: TrainingOutcome; lines: string[] }> {
    const config = `model: { init: scratch, preset: llama-1m, config: ${SHAPE} }
tokenizer: tokenizer
data: { train: [web.jsonl, code.jsonl], max_length: 48, num_workers: 0, cache_dir: cache }
anchors: [anchors.jsonl]
method: uniform
training: { max_steps: 30, per_device_train_batch_size: 2, learning_rate: 0.01, seed: 1, bf16: false }
evaluation: { sets: [held-out.jsonl], every_steps: 10 }
output_dir: ${this.runFolder(name)}
`
    writeFileSync(this.file('run.yaml'), config)
    const loaded = await loadConfig(this.file('run.yaml'), { set })
    const lines: string[] = []
    const request: TrainingRequest = {
      ...loaded,
      overwrite: false,
      onLine: (line) => lines.push(line),
      onStep: () => {},
      ...options,
    }
    return { outcome: await runTraining(request), lines }
  }

  /** The error with which a run ends. */
  async failure(
    name: string,
    set: readonly string[],
    options: Partial<TrainingRequest> = {},
  ): Promise<AdaptError> {
    try {
      await this.train(name, set, options)
    } catch (error) {
      if (error instanceof AdaptError) return error
      throw error
    }
    throw new Error('the run went through')
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}
