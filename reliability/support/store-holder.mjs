// Holds a store of torch.distributed, as torchrun does for its ranks; prints its port.
import { engine } from '../../packages/torch/dist/native.js'

const { native } = engine()
const store = native.storeOpen('127.0.0.1', 0, true, 10_000)
console.log(native.storePort(store))
setInterval(() => {}, 1_000)
