import { type Collective, distributed } from '@adapt-ts/torch'

/** The processes that train one model together, as one of them sees it. */
export interface World {
  readonly rank: number
  readonly worldSize: number
  readonly collective: Collective
}

/** The world that this process trains in: itself alone. */
export function joinWorld(): World {
  const collective = distributed.singleProcess
  return { rank: collective.rank, worldSize: collective.worldSize, collective }
}
