import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { readRegular } from '../dataset/regular-file.js'
import { ResourceError } from '../errors.js'
import { GENERATION_FILE, TOKENIZER_FILES } from '../hub/index.js'

const NAMES = [...TOKENIZER_FILES, GENERATION_FILE]
/** Folder of named chat templates, as transformers writes them. */
const TEMPLATES = 'additional_chat_templates'
/** Errors of the system that say nothing of what is there. */
const UNREADABLE = ['EMFILE', 'ENFILE', 'ENOMEM', 'EIO']

/**
 * The files of a tokenizer as they were when a run read them. A model folder must hold the tokenizer that the model was trained
 * with, and whoever owns the original may replace or remove it while the run goes on.
 */
export class TokenizerSnapshot {
  private constructor(
    readonly source: string,
    private readonly files: ReadonlyMap<string, Buffer>,
  ) {}

  /** Reads the files of a folder. */
  static take(source: string): TokenizerSnapshot {
    return new TokenizerSnapshot(source, readFiles(source))
  }

  /** What became of the original since, if anything: the first file that is gone, changed or new. */
  change(): string | undefined {
    const found = firstChange(this.files, readFiles(this.source))
    return found && `${join(this.source, found.name)} ${found.what}`
  }

  /** Makes a folder hold these files and no others of a tokenizer. @throws {ResourceError} RUN_WRITE. */
  writeTo(folder: string): void {
    try {
      if (firstChange(this.files, readFiles(folder)) === undefined) return
      rmSync(folder, { recursive: true, force: true })
      for (const [name, bytes] of this.files) {
        makeFolder(dirname(join(folder, name)))
        writeFileSync(join(folder, name), bytes)
      }
    } catch (cause) {
      const message = `cannot write the tokenizer to ${folder} (${(cause as Error).message})`
      throw new ResourceError('RUN_WRITE', message, { path: folder }, { cause })
    }
  }
}

function firstChange(was: ReadonlyMap<string, Buffer>, is: ReadonlyMap<string, Buffer>) {
  for (const [name, bytes] of was) {
    const now = is.get(name)
    if (now === undefined) return { name, what: 'is gone' }
    if (!now.equals(bytes)) return { name, what: 'changed' }
  }
  for (const name of is.keys()) if (!was.has(name)) return { name, what: 'is new' }
  return undefined
}

/** The files of a tokenizer by name, those that are there. */
function readFiles(folder: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  for (const name of [...NAMES, ...listTemplates(folder)]) {
    try {
      files.set(name, readRegular(join(folder, name)))
    } catch (error) {
      // Most of them need not be there.
      requireReadable(error)
    }
  }
  return files
}

function listTemplates(folder: string): string[] {
  try {
    return readdirSync(join(folder, TEMPLATES)).map((name) => join(TEMPLATES, name))
  } catch (error) {
    requireReadable(error)
    return []
  }
}

/** What cannot be read now is not taken for what is not there. */
function requireReadable(error: unknown): void {
  if (UNREADABLE.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
}
