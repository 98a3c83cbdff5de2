// What no document of the corpus may hold: addresses of people, notices, binary data, coarse words.

const EMAIL = /[\w.+-]+(@| at )[\w-]+(\.| dot )[a-z]{2,}/i
const PACKAGE_HOST = /:\/\/(www\.)?(registry|npm|pypi|deb|packages?|mirrors?)[\w-]*\./i
const NOTICE = /copyright|all rights reserved|licen[cs]ed? (under|to)|gnu general public/i
const COARSE =
  /\b(fuck|shit|cunt|bitch|asshole|bastard|nigger|faggot|whore|slut|rape[ds]?|masturbat|penis|screw(ed)? you)/i
const LONGEST_LINE = 2600

/** A document's text without lines that hold an e-mail address or the host of a package registry. */
function cleanText(text) {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/\u00a0/g, ' ')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => !EMAIL.test(line) && !PACKAGE_HOST.test(line))
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .replace(/^\n+|\s+$/g, '')
}

/** Why a text cannot be in the corpus, or undefined. `scripture` may use words that elsewhere are coarse. */
function defect(text, scripture) {
  if (text.length < 280) return 'short'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffd]/.test(text)) return 'control characters'
  if (NOTICE.test(text)) return 'notice'
  if (!scripture && COARSE.test(text)) return 'coarse words'
  if (text.split('\n').some((line) => line.length > LONGEST_LINE)) return 'long line'
  const letters = text.match(/[a-z]/gi)?.length ?? 0
  if (letters < 0.4 * text.length) return 'few letters'
  const foreign = text.match(/[^\n\t\u0020-\u007e‘’“”–—…´·]/g)?.length ?? 0
  if (foreign > 0.01 * text.length) return 'foreign characters'
  return undefined
}

/** Cleans documents and drops those with a defect. @returns `{ documents, dropped }`, dropped counted by reason. */
export function cleanDocuments(all) {
  const dropped = {}
  const documents = all.flatMap((document) => {
    const text = cleanText(document.text)
    const reason = defect(text, document.source === 'king-james-bible')
    if (reason === undefined) return [{ ...document, text }]
    dropped[reason] = (dropped[reason] ?? 0) + 1
    return []
  })
  return { documents, dropped }
}
