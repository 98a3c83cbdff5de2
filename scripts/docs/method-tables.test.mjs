import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { METHODS } from '../../packages/adapt/dist/catalog/index.js'
import { METHODS_PAGE, renderMethodTables } from './method-tables.mjs'

const projectDir = path.resolve(import.meta.dirname, '../..')

/** Golden cases of several methods, and methods that have no figure of their own: weights of 1, but for one part in a million. */
const CASES = {
  uniform: 'train-12-steps',
  adapt: 'adapt-step',
  'adapt-paper': 'adapt-step',
  'adapt-calibrated': 'adapt-step',
  'adapt-frozen': 'rds-plus',
  twin: 'train-12-steps',
  'doremi-proxy': 'doremi',
  'doge-proxy': 'doge',
  'update-match': 'opus',
  linupper: 'loss-gates',
  quadratic: 'loss-gates',
  extremes: 'loss-gates',
  'ir-dro': 'loss-gates',
  'prift-mass': 'dft',
  'loss-selection': 'draws',
  'delta-loss': 'draws',
  embedding: 'embeddings',
  rds: 'embeddings',
  near: 'embeddings',
  'rho-1': 'rho',
  'rho-loss': 'rho',
}

describe('the pages of the methods', () => {
  it('have the tables of the definitions: run scripts/write-method-tables.mjs', async () => {
    const page = readFileSync(path.join(projectDir, METHODS_PAGE), 'utf8')
    expect(page).toBe(await renderMethodTables(projectDir, page))
  })

  it.each(
    METHODS.map(({ id, page }) => [id, page]),
  )('have one of %s, called after it or after the method that it is a part of', (_, page) => {
    expect(METHODS.map(({ id }) => `docs/methods/${id}.md`)).toContain(page)
    expect(existsSync(path.join(projectDir, page))).toBe(true)
  })

  it.each(METHODS.map(({ id }) => id))('hold %s to a golden case', (id) => {
    expect(existsSync(path.join(projectDir, 'packages/adapt/golden', CASES[id] ?? id, 'case.json'))).toBe(
      true,
    )
  })
})
