export { ACCELERATORS, acceleratorNamed, type Device, thisCpu } from './devices.js'
export { type AnchorCount, estimateFlops, type FlopsEstimate, type RunLength } from './estimate-flops.js'
export { estimateMemory, type MemoryEstimate, type MemorySetting } from './estimate-memory.js'
export {
  type AdapterCount,
  type AdapterSpec,
  estimateParameters,
  type ParameterEstimate,
} from './estimate-parameters.js'
export { estimateRanks, exposedSeconds, type RanksEstimate } from './estimate-ranks.js'
export {
  type DeviceEstimate,
  type EstimateOptions,
  estimateRun,
  type RunEstimate,
  usableBytes,
} from './estimate-run.js'
export { type Dimensions, readDimensions } from './read-dimensions.js'
