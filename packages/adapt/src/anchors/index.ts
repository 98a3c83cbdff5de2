export { findContamination, type OverlapTable } from './find-contamination.js'
export {
  type AnchorInspection,
  type AnchorInspectionRequest,
  inspectAnchors,
  type PlacedAnchor,
  type SourceScores,
} from './inspect-anchors.js'
