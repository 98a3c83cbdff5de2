import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseConfigText } from '../config/index.js'
import type { RefreshEvent } from '../record/index.js'
import { TensorBoardLog, tensorboardFolder } from './tensorboard-log.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tensorboard-log-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const configOf = (training: string) =>
  parseConfigText(
    `{ model: { init: scratch, preset: llama-1m }, tokenizer: tok, data: { train: [a.jsonl] }, method: uniform,
       training: ${training}, output_dir: ${join(root, 'run')} }`,
    'run.yaml',
  )
const refresh: RefreshEvent = {
  type: 'refresh',
  step: 1,
  time: 1,
  reason: 'start',
  numAnchors: 1,
  refreshMs: 1,
  flops: 1,
  diagnostics: { staleness: 0.5 },
}

describe('TensorBoardLog', () => {
  it('writes nothing unless the config asks for it', () => {
    const lines: string[] = []
    using board = new TensorBoardLog(configOf('{}'), 0, (line) => lines.push(line))
    board.append(refresh)
    expect(readdirSync(root)).toEqual([])
    expect(lines).toEqual([])
  })

  it('writes into the run folder, or where logging_dir says', () => {
    for (const [training, folder] of [
      ['{ report_to: [tensorboard] }', join(root, 'run/tensorboard')],
      [`{ report_to: tensorboard, logging_dir: ${join(root, 'logs')} }`, join(root, 'logs')],
    ] as const) {
      const config = configOf(training)
      expect(tensorboardFolder(config)).toBe(folder)
      const board = new TensorBoardLog(config, 0, () => {})
      board.append(refresh)
      board.close()
      expect(readdirSync(folder)).toHaveLength(1)
    }
  })

  it('warns once where it cannot write and lets the run go on', () => {
    writeFileSync(join(root, 'file'), '')
    const lines: string[] = []
    const config = configOf(`{ report_to: [tensorboard], logging_dir: ${join(root, 'file')} }`)
    const board = new TensorBoardLog(config, 0, (line) => lines.push(line))
    board.append(refresh)
    board.flush()
    board.close()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('TensorBoard: cannot write')
  })
})
