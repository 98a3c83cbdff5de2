import { type Encoding, Tokenizer as NativeLibrary } from 'tokenizers'
import { printable } from '../dataset/index.js'
import type { CompletionText, EncodedCompletion } from './completion-text.js'
import { type EncodedText, type MarkedText, markTokens } from './mark-tokens.js'
import { badTokenizer } from './tokenizer-files.js'

/** What a tokenizer process is given. */
export interface NativeSpec {
  /** tokenizer.json as the native library is to read it. */
  readonly json: string
  /** Added tokens and the ids that the files give them. */
  readonly addedTokens: readonly (readonly [string, number])[]
  /** tokenizer.json on the disk, for messages. */
  readonly file: string
}

/**
 * The native tokenizer of a folder. Its patterns and normalisers come from a file of others and run where nothing can
 * interrupt them, so it lives in a process of its own (`TokenizerProcess`).
 */
export class NativeTokenizer {
  private readonly addedIds: ReadonlySet<number>

  /** @throws {HostileFileError} BAD_TOKENIZER */
  constructor({ json, addedTokens, file }: NativeSpec) {
    this.native = loadNative(json, file)
    this.addedIds = new Set(addedTokens.map(([, id]) => id))
    for (const [token, id] of addedTokens) {
      // The library gives an added token another id than the file says when the ids leave gaps.
      const actual = this.native.tokenToId(token)
      if (actual === id) continue
      const shown = printable(token, 40)
      throw badTokenizer(file, `added token "${shown}": expected id ${id}, it would get ${actual}`)
    }
  }

  private readonly native: NativeLibrary

  async encodeBatch(texts: readonly string[]): Promise<Int32Array[]> {
    return (await this.encode(texts)).map((encoding) => Int32Array.from(encoding.getIds()))
  }

  async encodeCompletions(pairs: readonly CompletionText[]): Promise<EncodedCompletion[]> {
    const encodings = await this.encode(pairs.map((p) => p.prompt + p.completion))
    return encodings.map((encoding, i) => ({
      tokens: Int32Array.from(encoding.getIds()),
      numPromptTokens: countPromptTokens(encoding, pairs[i]!.prompt),
    }))
  }

  async encodeMarked(texts: readonly MarkedText[]): Promise<EncodedText[]> {
    const encodings = await this.encode(texts.map((t) => t.text))
    return encodings.map((encoding, i) => markTokens(encoding, texts[i]!, this.addedIds))
  }

  async decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    return await this.native.decode([...ids], skipSpecialTokens)
  }

  private async encode(texts: readonly string[]): Promise<Encoding[]> {
    return texts.length === 0 ? [] : await this.native.encodeBatch([...texts], { addSpecialTokens: false })
  }
}

function loadNative(json: string, file: string): NativeLibrary {
  try {
    return NativeLibrary.fromString(json)
  } catch (error) {
    const said = printable((error as Error).message)
    throw badTokenizer(file, `not a tokenizer this program can load: ${said}`, error)
  }
}

function countPromptTokens(encoding: Encoding, prompt: string): number {
  if (prompt === '') {
    return 0
  }
  // Offsets count characters (code points), a JavaScript length counts UTF-16 units.
  let numCharacters = 0
  for (const _ of prompt) {
    numCharacters += 1
  }
  const offsets = encoding.getOffsets()
  const border = offsets.findIndex(([, end]) => end! > numCharacters)
  return border < 0 ? offsets.length : border
}
