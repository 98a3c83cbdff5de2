export { evaluateText } from './bits-per-byte.js'
export { evaluateHeldOut, type HeldOutEvaluation } from './held-out-loss.js'
export type { Evaluation, EvaluationOptions } from './score-windows.js'
