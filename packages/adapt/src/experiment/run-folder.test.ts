import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { openRunFolder, type RunState } from './run-folder.js'

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

function refusal(overwrite: boolean): AdaptError {
  try {
    openRunFolder(folder, overwrite)
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return error as AdaptError
  }
  throw new Error('the folder was opened')
}

describe('openRunFolder', () => {
  it('makes a folder with its parents, or takes an empty one', () => {
    folder = path.join(folder, 'a', 'b')
    openRunFolder(folder, false)
    expect(readdirSync(folder)).toEqual(['eval'])
    const empty = path.join(root, 'empty')
    mkdirSync(empty)
    expect(openRunFolder(empty, false).path).toBe(empty)
  })

  it.each([
    'finished',
    'interrupted',
    'failed',
    'running',
  ] as const)('refuses a folder with a run that is %s', (status) => {
    putState({ status, pid: 2 ** 30 })
    put('model/config.json')
    const error = refusal(false)
    expect(error).toMatchObject({ code: 'RUN_EXISTS', exitCode: 2 })
    expect(error.message).toContain(`${status}, step 3 of 9`)
    expect(error.message).toContain('--overwrite')
    expect(existsSync(path.join(folder, 'model/config.json'))).toBe(true)
  })

  it('removes an older run when asked to, and nothing else', () => {
    putState({})
    for (const name of ['model/config.json', 'eval/step-1.json', 'events.jsonl', 'failure.json', 'notes.txt'])
      put(name)
    openRunFolder(folder, true)
    expect(readdirSync(folder).sort()).toEqual(['eval', 'notes.txt'])
    expect(readdirSync(path.join(folder, 'eval'))).toEqual([])
  })

  it.each([true, false])('refuses a folder that another process is writing (overwrite: %s)', (overwrite) => {
    putState({ status: 'running', pid: process.ppid })
    expect(refusal(overwrite)).toMatchObject({ code: 'RUN_ACTIVE', exitCode: 2 })
  })

  it.each([true, false])('refuses a folder with files of someone else (overwrite: %s)', (overwrite) => {
    put('thesis.tex')
    const error = refusal(overwrite)
    expect(error).toMatchObject({ code: 'NOT_A_RUN', exitCode: 2 })
    expect(error.message).toContain('thesis.tex')
    expect(existsSync(path.join(folder, 'thesis.tex'))).toBe(true)
  })

  it.each([
    '{',
    '[]',
    'null',
    '"x"',
    '{"status":"running"}',
  ])('takes no damage from a run.json that is %s', (content) => {
    put('run.json', content)
    expect(refusal(false).exitCode).toBe(2)
  })

  it('names a path that is a file', () => {
    mkdirSync(path.dirname(folder), { recursive: true })
    writeFileSync(folder, 'x')
    const error = refusal(true)
    expect(error).toMatchObject({ code: 'NOT_A_RUN', exitCode: 2 })
    expect(error.message).toContain(folder)
  })
})

describe('RunFolder', () => {
  it('replaces files whole and leaves no temporary ones', () => {
    const run = openRunFolder(folder, false)
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
