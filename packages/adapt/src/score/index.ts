export {
  formatOf,
  SCORE_FORMATS,
  type ScoreFormat,
  type ScoreOutcome,
  type ScoreRequest,
  type SourceSelection,
  scoreData,
} from './score-data.js'
