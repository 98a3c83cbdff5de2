export { type Collective, singleProcess } from './collective.js'
export {
  createGradientBuckets,
  type GradientBuckets,
  type ReducedGradients,
  type Shard,
} from './gradient-buckets.js'
export { type HostedStore, hostStore } from './host-store.js'
export { type JoinOptions, joinProcessGroup } from './join-process-group.js'
export { type Launch, readLaunch } from './launch-environment.js'
export type { Backend } from './links.js'
export type { Member } from './members.js'
export { PeerError } from './peer-error.js'
export { isProcessGroup, type ProcessGroup, type Travel } from './process-group.js'
export { createVirtualRankMemory, joinVirtualRanks, type VirtualRankMemory } from './virtual-ranks.js'
