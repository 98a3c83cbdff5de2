import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { RUN_OPTIONS_FILE, renderRunOptions } from './run-options.mjs'

const projectDir = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))))

it('the option types of a run in code are those of the schema (else run node scripts/write-run-options.mjs)', async () => {
  expect(readFileSync(path.join(projectDir, RUN_OPTIONS_FILE), 'utf8')).toBe(
    await renderRunOptions(projectDir),
  )
})
