export { type RankJob, superviseRanks } from './supervise-ranks.js'
