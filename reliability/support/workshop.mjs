import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { writeTinyTokenizer } from '../../packages/adapt/dist/tokenize/tiny-tokenizer.test.fixture.js'
import { adapt, startAdapt } from './child.mjs'

const WORDS =
  'the model reads data and shapes weights while each sample of the text is close to examples'.split(' ')
const MODEL =
  '{ init: scratch, preset: llama-1m, config: { hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, ' +
  'num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 64, tie_word_embeddings: true } }'

/** A sentence of 4 to 10 words that follows a rule a small model can learn. */
const sentence = (seed) =>
  Array.from(
    { length: 4 + (seed % 7) },
    (_, i) => WORDS[(seed * 5 + i * (1 + (seed % 3))) % WORDS.length],
  ).join(' ')

const lines = (records) => records.map((record) => `${JSON.stringify(record)}\n`).join('')

/**
 * The toy of all checks: a tokenizer of a few hundred tokens, a corpus of two sources with static weights, anchors, a
 * held-out set, and `run.yaml`. Its 60 steps cross at least two ends of an epoch, and its method keeps every kind of
 * state: centroid, mean, reservoir, gate histogram.
 */
export class Workshop {
  /** @param {string} root an empty folder */
  constructor(root) {
    this.root = root
    mkdirSync(root, { recursive: true })
    writeTinyTokenizer(this.file('tokenizer'), { numMerges: 16 })
    const corpus = Array.from({ length: 42 }, (_, i) => ({
      text: sentence(i),
      source: i % 3 === 0 ? 'code' : 'web',
      ...(i % 4 === 0 ? { weight: 0.5 } : {}),
    }))
    this.put('corpus.jsonl', lines(corpus))
    this.put('anchors.jsonl', lines(Array.from({ length: 6 }, (_, i) => ({ text: sentence(100 + i) }))))
    this.put('held-out.jsonl', lines(Array.from({ length: 3 }, (_, i) => ({ text: sentence(200 + i) }))))
    this.put(
      'run.yaml',
      `model: ${MODEL}
tokenizer: tokenizer
data: { train: [corpus.jsonl], max_length: 32, num_workers: 0, cache_dir: cache }
anchors: [anchors.jsonl]
method:
  preset: adapt-calibrated
  signal: { refresh_every: 10, center: true }
  gate: { ess: 0.9, update_every: 5 }
training:
  max_steps: 60
  per_device_train_batch_size: 2
  gradient_accumulation_steps: 1
  learning_rate: 0.01
  lr_scheduler_type: cosine
  warmup_steps: 5
  seed: 1
  bf16: false
  threads: 1
  logging_steps: 60
evaluation: { sets: [held-out.jsonl], every_steps: 20 }
output_dir: runs/unnamed
`,
    )
  }

  file(...parts) {
    return path.join(this.root, ...parts)
  }

  /** The folder of a run by name. */
  runFolder(name) {
    return this.file('runs', name)
  }

  put(name, content) {
    mkdirSync(path.dirname(this.file(name)), { recursive: true })
    writeFileSync(this.file(name), content)
  }

  /** Arguments of `adapt train` for a run by name with assignments over the common config. */
  trainArgs(name, set = [], flags = []) {
    const assignments = set.flatMap((text) => ['--set', text])
    return ['train', 'run.yaml', '--output-dir', this.runFolder(name), ...assignments, ...flags]
  }

  /** Starts `adapt train`; see `trainArgs`. */
  start(name, set, flags) {
    return startAdapt(this.trainArgs(name, set, flags), { cwd: this.root })
  }

  /** Runs `adapt train` to its end; see `trainArgs`. */
  train(name, set, flags) {
    return adapt(this.trainArgs(name, set, flags), { cwd: this.root })
  }
}

/**
 * Four passes per step, and a plan by epochs, whose last step is shorter: about 60 steps again.
 */
export const ACCUMULATED = [
  'training={ num_train_epochs: 6, per_device_train_batch_size: 1, gradient_accumulation_steps: 4, learning_rate: 0.01, ' +
    'lr_scheduler_type: cosine, warmup_steps: 5, seed: 1, bf16: false, threads: 1, logging_steps: 60 }',
]
export { lines, sentence }
