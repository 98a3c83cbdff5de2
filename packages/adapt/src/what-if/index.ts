export type { SourceFigures, WeightDifferences, WeightFigures } from './weight-comparison.js'
export { deriveWhatIf, type WhatIf, type WhatIfRequest } from './what-if.js'
