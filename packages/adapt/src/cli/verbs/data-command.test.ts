import { writeFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { Workshop } from '../../run/workshop.test.fixture.js'
import { runCli } from '../run-cli.js'
import { BRACKETS, renderSample } from '../terminal/render-sample.js'
import { pickSamples } from './data-command.js'

describe('pickSamples', () => {
  it('picks distinct samples in order, the same for the same seed', () => {
    const picked = pickSamples(1000, 20, 7)
    expect(new Set(picked).size).toBe(20)
    expect([...picked].sort((a, b) => a - b)).toEqual(picked)
    expect(picked.every((index) => index >= 0 && index < 1000)).toBe(true)
    expect(pickSamples(1000, 20, 7)).toEqual(picked)
    expect(pickSamples(1000, 20, 8)).not.toEqual(picked)
  })

  it('picks all samples when there are too few, and none when none are wanted', () => {
    expect(pickSamples(3, 10, 0)).toEqual([0, 1, 2])
    expect(pickSamples(3, 0, 0)).toEqual([])
  })

  it('gives every sample the same chance', () => {
    const counts = new Array<number>(10).fill(0)
    for (let seed = 0; seed < 4000; seed++) for (const index of pickSamples(10, 3, seed)) counts[index]! += 1
    // 1200 expected each; five standard deviations of a binomial are about 145.
    expect(counts.every((count) => Math.abs(count - 1200) < 150)).toBe(true)
  })
})

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

describe('adapt data', () => {
  it('neither shows nor counts what is held out of training', async () => {
    const config = `tokenizer: tokenizer
model: { init: scratch, preset: llama-1m }
data: { train: [web.jsonl, code.jsonl], val_set_size: 70, max_length: 48, num_workers: 0, cache_dir: cache }
anchors: [anchors.jsonl]
training: { max_steps: 1, per_device_train_batch_size: 2, learning_rate: 0.01 }
output_dir: run
`
    writeFileSync(workshop.file('data.yaml'), config)
    let stdout = ''
    const io = {
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write: () => {} },
      env: {},
    }
    expect(await runCli(['data', workshop.file('data.yaml'), '--samples', '1000'], io)).toBe(0)
    expect(stdout.match(/^--- /gm)).toHaveLength(20)
    expect(stdout).toMatch(/^documents: 20$/m)
    expect(stdout).toMatch(/^samples: 20$/m)
    expect(stdout).toMatch(/^documents held out \(val_set_size\): 70$/m)
  })
})

describe('renderSample', () => {
  // A byte-level decoder in miniature: ids are UTF-8 bytes.
  const tokenizer = {
    decode: async (ids: ArrayLike<number>) => Buffer.from(Array.from(ids)).toString('utf8'),
  }
  const render = (text: string, mask: string) => {
    const tokens = Int32Array.from(Buffer.from(text))
    const labelMask = Uint8Array.from(mask.padEnd(tokens.length, mask.at(-1)!), Number)
    return renderSample({ tokens, labelMask }, tokenizer, BRACKETS)
  }

  it('marks every run of trained tokens', async () => {
    expect(await render('abcdef', '001101')).toBe('ab[[cd]]e[[f]]')
    expect(await render('abc', '1')).toBe('[[abc]]')
    expect(await render('abc', '0')).toBe('abc')
    expect(await render('', '0')).toBe('')
  })

  it('does not lose a character whose bytes stand on both sides of a border', async () => {
    expect(await render('aüb', '0011')).toMatch(/^a.?\[\[üb\]\]$/)
  })

  it('keeps line breaks and escapes controls', async () => {
    expect(await render('a\n\t\u001b[2J', '0')).toBe('a\n\t\\u{1b}[2J')
  })
})
