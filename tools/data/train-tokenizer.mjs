// Trains the byte-level BPE tokenizer of the examples with the `tokenizers` package.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BPE,
  byteLevelAlphabet,
  byteLevelPreTokenizer,
  Tokenizer,
  whitespaceSplitPreTokenizer,
} from 'tokenizers'

export const END_OF_TEXT = '<|endoftext|>'
export const PADDING = '<|pad|>'
const SPECIAL_TOKENS = [END_OF_TEXT, PADDING]

/**
 * Learns merges from texts.
 *
 * The trainer of the Node binding takes no vocabulary size and reads its files line by line, so it would never see
 * a run of white space that holds a line break. Both are mended here: texts are cut into byte-level words first (a
 * line break is then an ordinary letter), and of the merges it learns, which come in order of use, the first ones
 * are kept.
 */
function learnMerges(texts, count, folder) {
  const splitter = byteLevelPreTokenizer(false, true)
  const lines = texts.map((text) =>
    splitter
      .preTokenizeString(text)
      .map(([word]) => word)
      .join(' '),
  )
  const file = join(folder, 'words.txt')
  writeFileSync(file, `${lines.join('\n')}\n`)
  const learner = new Tokenizer(BPE.empty())
  learner.setPreTokenizer(whitespaceSplitPreTokenizer())
  learner.train([file])
  const saved = join(folder, 'learned.json')
  learner.save(saved)
  const { merges } = JSON.parse(readFileSync(saved, 'utf8')).model
  if (merges.length < count) throw new Error(`expected at least ${count} merges, learned ${merges.length}`)
  return merges.slice(0, count)
}

/**
 * Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json.
 * Ids: the special tokens, then the 256 byte letters in the order of the letters, then one id a merge.
 */
export function trainTokenizer({ texts, size, output, workFolder }) {
  const scratch = join(workFolder, 'tokenizer')
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch, { recursive: true })
  const alphabet = [...byteLevelAlphabet()].sort()
  const merges = learnMerges(texts, size - SPECIAL_TOKENS.length - alphabet.length, scratch)
  const entries = [...SPECIAL_TOKENS, ...alphabet, ...merges.map(([left, right]) => left + right)]
  const vocab = Object.fromEntries(entries.map((token, id) => [token, id]))
  if (Object.keys(vocab).length !== size) throw new Error('two merges give the same token')
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  }
  const named = { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, pad_token: PADDING }
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...named,
    clean_up_tokenization_spaces: false,
  }
  mkdirSync(output, { recursive: true })
  writeFileSync(join(output, 'tokenizer.json'), `${JSON.stringify(tokenizer, null, 1)}\n`)
  writeFileSync(join(output, 'tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`)
  writeFileSync(join(output, 'special_tokens_map.json'), `${JSON.stringify(named, null, 2)}\n`)
}
