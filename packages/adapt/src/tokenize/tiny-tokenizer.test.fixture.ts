import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const SENTENCE =
  'the model reads the data and the data shapes the model while the trainer weighs each sample of the data ' +
  'by how close the model finds it to the examples that the user cares about'

export interface TinyTokenizerOptions {
  readonly numMerges?: number
  /** Tokens after the vocabulary, in id order. */
  readonly specials?: readonly string[]
  readonly config?: Readonly<Record<string, unknown>>
  /** Changes tokenizer.json before it is written. */
  readonly edit?: (json: TinyTokenizerJson) => unknown
}

export interface TinyTokenizerJson {
  [key: string]: unknown
  added_tokens: { id: number; content: string; [key: string]: unknown }[]
  model: { vocab: Record<string, number>; merges: unknown[]; [key: string]: unknown }
}

/**
 * Writes a byte-level BPE tokenizer with the 256 bytes, some merges learnt from one sentence, and the specials
 * `<s>` (bos), `</s>` (eos) and `<pad>`. Returns the folder.
 */
export function writeTinyTokenizer(folder: string, options: TinyTokenizerOptions = {}): string {
  const { numMerges = 48, specials = ['<s>', '</s>', '<pad>'] } = options
  const alphabet = byteAlphabet()
  const merges = learnMerges(SENTENCE, numMerges)
  const vocab = Object.fromEntries([...alphabet, ...merges.map(([a, b]) => a + b)].map((t, i) => [t, i]))
  const first = Object.keys(vocab).length
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  const json: TinyTokenizerJson = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, i) => ({ id: first + i, content, ...flags })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, vocab, merges: merges.map((m) => m.join(' ')) },
  }
  const config = options.config ?? { bos_token: '<s>', eos_token: { content: '</s>' }, pad_token: '<pad>' }
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify(options.edit?.(json) ?? json))
  writeFileSync(path.join(folder, 'tokenizer_config.json'), JSON.stringify(config))
  return folder
}

/** One printable character for each byte: printable bytes stand for themselves, the others follow from U+0100. */
function byteAlphabet(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const isShown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173)
    return String.fromCharCode(isShown ? byte : next++)
  })
}

/** Merges the most frequent pair, again and again; ties go to the pair met first. */
function learnMerges(text: string, numMerges: number): [string, string][] {
  const space = byteAlphabet()[32]!
  const words = text.split(' ').map((word, i) => [...(i === 0 ? word : space + word)])
  const merges: [string, string][] = []
  while (merges.length < numMerges) {
    const counts = new Map<string, number>()
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        const pair = `${word[i - 1]} ${word[i]}`
        counts.set(pair, (counts.get(pair) ?? 0) + 1)
      }
    }
    const best = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))[0].split(' ') as [string, string]
    merges.push(best)
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        if (word[i - 1] === best[0] && word[i] === best[1]) {
          word.splice(i - 1, 2, best[0] + best[1])
        }
      }
    }
  }
  return merges
}
