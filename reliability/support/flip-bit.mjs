// Loaded by one rank alone (node --import, ADAPT_FLIP="STEP PARAMETER"): after that step one bit of one number of that
// parameter is another one in the memory of this process, as after a fault of the memory. A bit that no rounding takes back.
import { Trainer } from '@adapt-ts/adapt'
import { copy_, detach, narrow, noGrad, scope, tensor, view } from '@adapt-ts/torch'

const [step, name] = process.env.ADAPT_FLIP.split(' ')
const { runStep } = Trainer.prototype
Trainer.prototype.runStep = function (...args) {
  const result = runStep.apply(this, args)
  if (this.step === Number(step)) flip(new Map(this.model.namedParameters()).get(name))
  return result
}

function flip(parameter) {
  scope(() => {
    const place = narrow(view(detach(parameter), [-1]), 0, 5, 1)
    const bits = new Uint32Array(place.toFloat32Array().buffer)
    bits[0] ^= 1 << 12
    noGrad(() => copy_(place, tensor(new Float32Array(bits.buffer), [1])))
  })
}
