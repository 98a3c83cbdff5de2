export { type Evaluation, type EvaluationOptions, evaluateText } from './bits-per-byte.js'
