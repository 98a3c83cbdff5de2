// Overlap between documents, counted in runs of 13 words (lower-cased \w+ runs).

export const NGRAM_WORDS = 13

/** The distinct 13-word runs of a text. */
export function ngrams(text) {
  const words = text.toLowerCase().match(/\w+/g) ?? []
  const found = new Set()
  for (let i = 0; i + NGRAM_WORDS <= words.length; i += 1)
    found.add(words.slice(i, i + NGRAM_WORDS).join(' '))
  return found
}

/** Drops documents of which more than half of the runs were seen in earlier ones; keeps the order. */
export function dropNearDuplicates(documents) {
  const seen = new Set()
  return documents.filter((document) => {
    const own = ngrams(document.text)
    let repeated = 0
    for (const each of own) if (seen.has(each)) repeated += 1
    if (own.size > 0 && repeated > own.size / 2) return false
    for (const each of own) seen.add(each)
    return true
  })
}

/** Every run of the given texts. */
export function ngramSet(texts) {
  const all = new Set()
  for (const text of texts) for (const each of ngrams(text)) all.add(each)
  return all
}

/** Whether a text shares a run with a set. */
export function overlaps(text, set) {
  for (const each of ngrams(text)) if (set.has(each)) return true
  return false
}
