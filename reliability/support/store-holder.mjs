// Holds a store of torch.distributed, as torchrun does for its ranks; prints its port.
import { distributed } from '@adapt-ts/torch'

console.log(distributed.hostStore().port)
setInterval(() => {}, 1_000)
