import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { inspectRunFolder, openRunFolder, type RunState } from './run-folder.js'

let root = ''
let folder = ''
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-run-folder-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => {
  folder = path.join(mkdtempSync(path.join(root, 'case-')), 'run')
})

const put = (name: string, content = 'x') => {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
  writeFileSync(path.join(folder, name), content)
}
const putState = (state: Partial<RunState>) =>
  put(
    'run.json',
    JSON.stringify({
      schema_version: 1,
      status: 'finished',
      pid: 1,
      heartbeat: 0,
      step: 3,
      total_steps: 9,
      ...state,
    }),
  )

/** The folder as its lock's owner finds it. */
const prepare = () => {
  mkdirSync(folder, { recursive: true })
  return folder
}

function refusal(overwrite: boolean): AdaptError {
  try {
    inspectRunFolder(folder, overwrite)
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return error as AdaptError
  }
  throw new Error('the folder was accepted')
}

describe('inspectRunFolder', () => {
  it('takes a folder that is not there, is empty or holds leftovers of a start for a new run', () => {
    expect(inspectRunFolder(folder, false)).toBe('new')
    put('run.lock')
    put('run.json.77.tmp')
    expect(inspectRunFolder(folder, false)).toBe('new')
    putState({ status: 'starting' })
    put('model/config.json')
    expect(inspectRunFolder(folder, false)).toBe('new')
  })

  it('refuses a finished run unless it may be replaced', () => {
    putState({})
    put('model/config.json')
    const error = refusal(false)
    expect(error).toMatchObject({ code: 'RUN_EXISTS', exitCode: 2 })
    expect(error.message).toContain('3 of 9 steps')
    expect(error.message).toContain('--overwrite')
    expect(inspectRunFolder(folder, true)).toBe('new')
    expect(existsSync(path.join(folder, 'model/config.json'))).toBe(true)
  })

  it.each(['interrupted', 'failed', 'running'] as const)('goes on with a run that is %s', (status) => {
    putState({ status })
    // Nothing was written yet that could go on.
    expect(inspectRunFolder(folder, false)).toBe('new')
    put('config.yaml')
    expect(inspectRunFolder(folder, false)).toBe('continue')
    expect(inspectRunFolder(folder, true)).toBe('new')
  })

  it('never takes a folder with checkpoints for a new run', () => {
    putState({ status: 'interrupted' })
    put('checkpoints/step-3/state.json')
    expect(refusal(false)).toMatchObject({ code: 'RUN_CONFIG_UNREADABLE', exitCode: 2 })
    put('config.yaml')
    put('run.json', '')
    expect(inspectRunFolder(folder, false)).toBe('continue')
    expect(inspectRunFolder(folder, true)).toBe('new')
  })

  it.each([true, false])('refuses a folder with files of someone else (overwrite: %s)', (overwrite) => {
    put('thesis.tex')
    const error = refusal(overwrite)
    expect(error).toMatchObject({ code: 'NOT_A_RUN', exitCode: 2 })
    expect(error.message).toContain('thesis.tex')
  })

  it.each([
    '{',
    '[]',
    'null',
    '"x"',
    '{"status":"lost"}',
  ])('takes no damage from a run.json that is %s', (content) => {
    put('run.json', content)
    expect(refusal(false)).toMatchObject({ code: 'NOT_A_RUN', exitCode: 2 })
  })

  it('names a path that is a file', () => {
    mkdirSync(path.dirname(folder), { recursive: true })
    writeFileSync(folder, 'x')
    const error = refusal(true)
    expect(error).toMatchObject({ code: 'NOT_A_RUN', exitCode: 2 })
    expect(error.message).toContain(folder)
  })
})

describe('openRunFolder', () => {
  const names = ['config.yaml', 'checkpoints/step-3/state.json', 'model/config.json', 'eval/step-1.json']

  it('removes an older run for a new one, and nothing else', () => {
    putState({})
    for (const name of [...names, 'events.jsonl', 'failure.json', 'notes.txt', 'run.lock']) put(name)
    openRunFolder(folder, 'new', 9)
    expect(readdirSync(folder).sort()).toEqual(['eval', 'notes.txt', 'run.json', 'run.lock'])
    expect(readdirSync(path.join(folder, 'eval'))).toEqual([])
    // Killed here, the folder holds a start that was cut off, not the older run.
    expect(inspectRunFolder(folder, false)).toBe('new')
  })

  it('keeps a run that goes on, but for what a dead process left half done', () => {
    putState({ status: 'interrupted' })
    for (const name of [
      ...names,
      'failure.json',
      'report.html.12.tmp',
      '.model.tmp-12/x',
      '.model.tmp-12.old/x',
      'eval/step-2.json.12.tmp',
    ])
      put(name)
    openRunFolder(folder, 'continue', 9)
    expect(readdirSync(folder).sort()).toEqual(['checkpoints', 'config.yaml', 'eval', 'model', 'run.json'])
    expect(readdirSync(path.join(folder, 'eval'))).toEqual(['step-1.json'])
  })
})

describe('RunFolder', () => {
  it('replaces files whole and leaves no temporary ones', () => {
    const run = openRunFolder(prepare(), 'new', 8)
    run.write('config.yaml', 'a: 1\n')
    run.write('config.yaml', 'a: 2\n')
    run.write('eval/step-4.json', '{}')
    run.writeState('running', 2, 8)
    expect(readFileSync(path.join(folder, 'config.yaml'), 'utf8')).toBe('a: 2\n')
    expect(readdirSync(folder).sort()).toEqual(['config.yaml', 'eval', 'run.json'])
    const state = JSON.parse(readFileSync(path.join(folder, 'run.json'), 'utf8')) as RunState
    expect(state).toMatchObject({
      schema_version: 1,
      status: 'running',
      step: 2,
      total_steps: 8,
      pid: process.pid,
    })
    expect(Math.abs(state.heartbeat - Date.now() / 1000)).toBeLessThan(60)
  })
})
