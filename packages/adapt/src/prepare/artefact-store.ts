/** P samples of the pool, G sources. */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MANIFEST_NAME, publishFolder, verifyManifest, writeManifest } from '../checkpoint/index.js'
import { HostileFileError } from '../errors.js'
import type { Artefact } from '../method/index.js'
import { RunLock } from '../run-folder/index.js'
import type { TokenDataset } from '../tokenize/index.js'
import { StoredTokenLosses } from './token-losses.js'

/** Changes with what the files of an artefact mean. */
const FORMAT = 2

/** An artefact with what making it took. */
export interface Prepared {
  readonly artefact: Artefact
  /** SHA-256 (hex) of what it is a function of. */
  readonly key: string
  readonly flops: number
  /** Of making it, over all processes that took part but the time of those that were killed. */
  readonly seconds: number
  /** What the user should know of it, whenever it is used. */
  readonly warnings: readonly string[]
  /** It was there already. */
  readonly isCached: boolean
}

/** SHA-256 (hex) of everything that an artefact is a function of. */
export function artefactKey(inputs: Readonly<Record<string, unknown>>): string {
  return createHash('sha256')
    .update(JSON.stringify({ format: FORMAT, ...inputs }))
    .digest('hex')
}

interface Facts {
  readonly flops: number
  readonly seconds: number
  readonly share_G?: readonly number[]
  readonly figures?: Readonly<Record<string, number>>
  readonly parts: readonly string[]
  /** Names of `numbers`, a file each. */
  readonly numbers?: readonly string[]
  readonly warnings?: readonly string[]
}

/** The folder of one artefact: `whole/` once it is made, `work/` while it is. */
export class ArtefactFolder {
  /** For what is half done. */
  readonly work: string
  private readonly whole: string

  constructor(
    readonly path: string,
    private readonly key: string,
    private readonly data: TokenDataset,
  ) {
    this.work = join(path, 'work')
    this.whole = join(path, 'whole')
  }

  /**
   * The artefact that is there; undefined when there is none.
   * @param onDamage  Told when one was there that cannot be used; it is made again then.
   */
  read(onDamage: (message: string) => void): Prepared | undefined {
    try {
      readFileSync(join(this.whole, MANIFEST_NAME))
    } catch {
      return undefined
    }
    try {
      verifyManifest(this.whole)
      const prepared = this.load()
      // Left where a process was killed after it published.
      rmSync(this.work, { recursive: true, force: true })
      return prepared
    } catch (error) {
      if (!(error instanceof HostileFileError || error instanceof SyntaxError)) throw error
      onDamage(`${error.message}; it is made again`)
      rmSync(this.whole, { recursive: true, force: true })
      return undefined
    }
  }

  /** Whether one is there, whole or not. */
  get isThere(): boolean {
    return existsSync(join(this.whole, MANIFEST_NAME))
  }

  /** Removes what processes left that were killed: what they published, the locks of proxies that another machine may go on with. Call it with the folder's lock. */
  removeLeftovers(): void {
    for (const name of readdirSync(this.path))
      if (name.startsWith('.whole.tmp-')) rmSync(join(this.path, name), { recursive: true, force: true })
    if (!existsSync(this.work)) return
    for (const entry of readdirSync(this.work, { withFileTypes: true }))
      if (entry.isDirectory()) RunLock.forget(join(this.work, entry.name, 'run'))
  }

  /** Makes the artefact appear whole; what was half done goes. */
  publish(
    artefact: Artefact,
    { flops, seconds, warnings }: Pick<Prepared, 'flops' | 'seconds' | 'warnings'>,
  ): Prepared {
    const { score_P, kept_P, share_G, tokenLoss, numbers = {}, figures } = artefact
    const losses = tokenLoss as StoredTokenLosses | undefined
    publishFolder(
      this.whole,
      (folder) => {
        const write = (name: string, values: Float32Array | Uint8Array) =>
          writeFileSync(
            join(folder, name),
            new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
          )
        if (score_P) write('score.f32', score_P)
        if (kept_P) write('kept.u8', kept_P)
        for (const [name, values] of Object.entries(numbers)) write(`numbers-${name}.f32`, values)
        if (losses) {
          write('has-losses.u8', losses.hasLosses)
          place(losses.path, join(folder, 'token-loss.f32'))
        }
        const parts = [
          ...(score_P ? ['score'] : []),
          ...(kept_P ? ['kept'] : []),
          ...(losses ? ['token-loss'] : []),
        ]
        const facts: Facts = {
          flops,
          seconds,
          parts,
          ...(Object.keys(numbers).length > 0 ? { numbers: Object.keys(numbers) } : {}),
          ...(share_G ? { share_G: [...share_G] } : {}),
          ...(figures ? { figures } : {}),
          ...(warnings.length > 0 ? { warnings } : {}),
        }
        writeFileSync(join(folder, 'artefact.json'), `${JSON.stringify(facts)}\n`)
      },
      (folder) => writeManifest(folder, 0),
    )
    const prepared = this.load()
    rmSync(this.work, { recursive: true, force: true })
    return { ...prepared, isCached: false }
  }

  private load(): Prepared {
    const file = (name: string) => join(this.whole, name)
    const bytes = (name: string) => Uint8Array.from(readFileSync(file(name)))
    const floats = (name: string) => new Float32Array(bytes(`${name}.f32`).buffer)
    const facts = JSON.parse(readFileSync(file('artefact.json'), 'utf8')) as Facts
    const has = (part: string) => facts.parts.includes(part)
    const artefact: Artefact = {
      ...(has('score') ? { score_P: floats('score') } : {}),
      ...(has('kept') ? { kept_P: bytes('kept.u8') } : {}),
      ...(facts.share_G ? { share_G: Float64Array.from(facts.share_G) } : {}),
      ...(has('token-loss')
        ? { tokenLoss: new StoredTokenLosses(file('token-loss.f32'), bytes('has-losses.u8'), this.data) }
        : {}),
      ...(facts.numbers
        ? { numbers: Object.fromEntries(facts.numbers.map((name) => [name, floats(`numbers-${name}`)])) }
        : {}),
      ...(facts.figures ? { figures: facts.figures } : {}),
    }
    const { flops, seconds, warnings = [] } = facts
    return { artefact, key: this.key, flops, seconds, warnings, isCached: true }
  }
}

/** A second name costs nothing; file systems without such names get a copy. */
function place(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch {
    copyFileSync(from, to)
  }
}
