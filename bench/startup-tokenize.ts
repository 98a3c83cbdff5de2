/** Our side of the tokenising of `bench:startup`: `node startup-tokenize.js FILE TOKENIZER CACHE` prints seconds and a hash of the ids, as JSON. */
import { createHash } from 'node:crypto'
import { loadTokenizer, openTokenCache, resolveSources } from '@adapt-ts/adapt'

const [file, tokenizerFolder, cacheDir] = process.argv.slice(2) as [string, string, string]
const tokenizer = loadTokenizer(tokenizerFolder)
const begun = performance.now()
const files = await resolveSources([{ path: file }], process.cwd())
// No document is cut: a sample is one.
const dataset = await openTokenCache({ files, tokenizer, maxLength: 1 << 24, cacheDir })
const seconds = (performance.now() - begun) / 1e3

const hash = createHash('sha256')
for (let i = 0; i < dataset.numSamples; i++) {
  // Without the start and the end that we add.
  const tokens = dataset.sample(i).tokens.slice(1, -1)
  hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength))
}
const { numDocuments, numTokens } = dataset
console.log(
  JSON.stringify({
    seconds,
    documents: numDocuments,
    tokens: numTokens - 2 * numDocuments,
    hash: hash.digest('hex'),
  }),
)
dataset.close()
process.exit(0)
