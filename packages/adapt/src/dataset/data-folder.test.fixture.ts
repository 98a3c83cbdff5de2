import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { AdaptError } from '../errors.js'
import type { DataSource, Document } from './document.js'
import { type ReadOptions, readDocuments } from './read-documents.js'
import { resolveSources } from './resolve-sources.js'

/** A folder for data files that each test gets anew, and how to read from it. */
export function dataFolder() {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-dataset-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    path: (): string => folder,

    put(name: string, content: string | Buffer): string {
      const file = path.join(folder, name)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, content)
      return name
    },

    async read(source: string | DataSource, options?: ReadOptions): Promise<Document[]> {
      const entry = typeof source === 'string' ? { path: source } : source
      const documents: Document[] = []
      for await (const document of readDocuments(await resolveSources([entry], folder), options)) {
        documents.push(document)
      }
      return documents
    },

    async errorOf(action: Promise<unknown>): Promise<AdaptError> {
      const error = await action.then(
        () => undefined,
        (e: unknown) => e,
      )
      expect(error).toBeInstanceOf(AdaptError)
      return error as AdaptError
    },
  }
}
