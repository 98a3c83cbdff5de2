// Divides each source into training, held-out and anchor documents that share no 13-word run across splits.

import { packParts } from './chunk.mjs'
import { hashOrder } from './deterministic.mjs'
import { dropNearDuplicates, ngramSet, overlaps } from './ngrams.mjs'

// Overlap with training text removes many of these, so more are set aside than are needed.
const SPARE = { heldout: 3, anchors: 4 }
// An anchor is one passage from the start of a document: about what a training row of a small model holds.
const ANCHOR_CHARACTERS = { min: 300, soft: 450, max: 1000 }

const characters = (documents) => documents.reduce((total, { text }) => total + text.length, 0)

/** The first documents, in order, that fit into a number of characters. */
function takeCharacters(documents, limit) {
  const taken = []
  let total = 0
  for (const document of documents) {
    if (total + document.text.length > limit) continue
    taken.push(document)
    total += document.text.length
  }
  return taken
}

function groupsInHashOrder(documents) {
  const groups = new Map()
  for (const document of documents) {
    if (!groups.has(document.group)) groups.set(document.group, [])
    groups.get(document.group).push(document)
  }
  return hashOrder([...groups.values()], ([first]) => `group ${first.source} ${first.group}`)
}

/**
 * Whole groups go to the held-out candidates first, then to the anchor candidates, the rest is for training.
 * A training document that does not fit is left for noise; candidates that share a run with training text, and
 * anchors that share one with held-out text, are dropped.
 *
 * @param bySource  Map from source name to clean documents.
 * @param specs     The entries of SOURCES.
 * @returns Map from source name to `{ train, heldout, heldoutSpare, anchors, surplus }`, each in a fixed shuffled order.
 */
export function splitSources(bySource, specs) {
  const splits = new Map()
  for (const spec of specs) {
    const documents = dropNearDuplicates(bySource.get(spec.name))
    const heldout = []
    const anchors = []
    const rest = []
    for (const group of groupsInHashOrder(documents)) {
      if (characters(heldout) < SPARE.heldout * spec.heldoutCharacters) heldout.push(...group)
      else if (anchors.length < SPARE.anchors * spec.anchors) anchors.push(...group)
      else rest.push(...group)
    }
    const inOrder = (list) => hashOrder(list, ({ id }) => `document ${id}`)
    const train = takeCharacters(inOrder(rest), spec.trainCharacters)
    const kept = new Set(train)
    splits.set(spec.name, {
      train,
      heldout: inOrder(heldout),
      anchors: inOrder(anchors),
      surplus: inOrder(rest.filter((document) => !kept.has(document))),
    })
  }
  const trained = ngramSet([...splits.values()].flatMap(({ train }) => train.map(({ text }) => text)))
  for (const spec of specs) {
    const split = splits.get(spec.name)
    const clean = split.heldout.filter(({ text }) => !overlaps(text, trained))
    split.heldout = takeCharacters(clean, spec.heldoutCharacters)
    const kept = new Set(split.heldout)
    split.heldoutSpare = clean.filter((document) => !kept.has(document))
  }
  const heldOut = ngramSet([...splits.values()].flatMap(({ heldout }) => heldout.map(({ text }) => text)))
  for (const spec of specs) {
    const split = splits.get(spec.name)
    split.anchors = split.anchors
      .flatMap((document) => {
        const passage = packParts(document.text.split('\n\n'), '\n\n', ANCHOR_CHARACTERS).at(0)
        return passage === undefined ? [] : [{ ...document, text: passage }]
      })
      .filter(({ text }) => !overlaps(text, trained) && !overlaps(text, heldOut))
      .slice(0, spec.anchors)
    split.surplus = split.surplus.filter(({ text }) => !overlaps(text, heldOut))
  }
  return splits
}
