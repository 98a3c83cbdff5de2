export { type Collective, singleProcess } from './collective.js'
export { createVirtualRankMemory, joinVirtualRanks, type VirtualRankMemory } from './virtual-ranks.js'
