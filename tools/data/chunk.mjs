// Cuts long texts into documents at natural boundaries.

/** Documents shorter than `min` are dropped or joined, `soft` ends a document, none is longer than `max`. */
export const DOCUMENT_CHARACTERS = { min: 300, soft: 1300, max: 3600 }

/** Joins neighbouring parts until a document has `soft` characters; the rest joins the last one if it fits. */
export function packParts(parts, joiner = '\n\n', sizes = DOCUMENT_CHARACTERS) {
  const documents = []
  let current = ''
  for (const part of parts.flatMap((each) => splitLong(each, sizes.max))) {
    const joined = current === '' ? part : current + joiner + part
    if (joined.length > sizes.max && current !== '') {
      documents.push(current)
      current = part
    } else {
      current = joined
    }
    if (current.length >= sizes.soft) {
      documents.push(current)
      current = ''
    }
  }
  const last = documents.at(-1)
  if (current.length >= sizes.min || last === undefined) documents.push(current)
  else if (last.length + current.length + joiner.length <= sizes.max)
    documents[documents.length - 1] = last + joiner + current
  return documents.filter((each) => each.length >= sizes.min)
}

/** Splits a part longer than `max` at lines, and a longer line at sentences. A piece with no such place is dropped. */
function splitLong(part, max) {
  if (part.length <= max) return [part]
  const lines = part.split('\n')
  if (lines.length > 1) return regroup(lines, '\n', max / 2).filter((each) => each.length <= max)
  return regroup(part.split(/(?<=[.;:]) /), ' ', max / 2).filter((each) => each.length <= max)
}

function regroup(pieces, joiner, size) {
  const groups = []
  for (const piece of pieces) {
    const last = groups.at(-1)
    if (last !== undefined && last.length + piece.length < size)
      groups[groups.length - 1] = last + joiner + piece
    else groups.push(piece)
  }
  return groups
}

/**
 * Cuts program text at top-level definitions; a definition that is too long is cut at the blank lines inside it,
 * those of the smallest indentation first.
 */
export function codeParts(text, maxIndent = 0, sizes = DOCUMENT_CHARACTERS) {
  const boundary = new RegExp(`\\n\\n+(?= {0,${maxIndent}}[^\\s})\\]])`)
  const parts = text.split(boundary)
  return parts.flatMap((part) =>
    part.length <= sizes.max || maxIndent >= 12 ? [part] : codeParts(part, maxIndent + 2, sizes),
  )
}
