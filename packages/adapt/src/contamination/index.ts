export { type AnchorOverlap, type AnchorOverlapOptions, findAnchorOverlap } from './anchor-overlap.js'
export { contentHash, contentText } from './normalise-text.js'
export {
  GRAM_WORDS,
  MIN_WORDS,
  type OverlapCounts,
  type OverlapExample,
  OverlapIndex,
  type PlacedText,
} from './overlap-index.js'
