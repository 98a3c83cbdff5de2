export { type NodeOptions, readNodes } from './read-nodes.js'
export { type JobNodes, type RankJob, superviseRanks } from './supervise-ranks.js'
