/** B rows, H heads, K key/value heads, T positions, E head size, N labels, V vocabulary. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  backward,
  bmm,
  clamp,
  div,
  eq,
  expand,
  gather,
  hasOperator,
  logSoftmax,
  maskedFill,
  mul,
  neg,
  ones,
  openScope,
  ops,
  reshape,
  type Scope,
  softmax,
  squeeze,
  sub,
  sum,
  type Tensor,
  toDType,
  transpose,
  unsqueeze,
} from './index.js'
import { relativeError } from './testing/compare.test.fixture.js'
import { openGolden } from './testing/golden.test.fixture.js'

const golden = openGolden('ops')
let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const leaf = (name: string) => golden.tensor(name).setRequiresGrad()

function expectGolden(actual: Tensor | undefined, name: string): void {
  expect(actual, name).toBeDefined()
  expect(relativeError(actual!, golden.tensor(name)), name).toBeLessThan(golden.tolerance)
}

/** [B, K, T, E] to [B, H, T, E]: each key/value head serves H / K query heads. */
const repeatHeads = (x: Tensor) => reshape(expand(unsqueeze(x, 2), [2, 2, 2, 7, 6]), [2, 4, 7, 6])

function composedAttention(query: Tensor, key: Tensor, value: Tensor, mask_BTT: Tensor): Tensor {
  const flat = (x: Tensor) => reshape(x, [8, 7, 6])
  const scores = div(bmm(flat(query), transpose(flat(repeatHeads(key)), 1, 2)), Math.sqrt(6))
  const hidden = eq(unsqueeze(mask_BTT, 1), 0)
  const masked = maskedFill(reshape(scores, [2, 4, 7, 7]), hidden, -Infinity)
  return reshape(bmm(reshape(softmax(masked, -1), [8, 7, 7]), flat(repeatHeads(value))), [2, 4, 7, 6])
}

function fusedAttention(query: Tensor, key: Tensor, value: Tensor, mask_BTT: Tensor): Tensor {
  const attend = ops.aten!.scaled_dot_product_attention!
  return attend(query, repeatHeads(key), repeatHeads(value), { attn_mask: unsqueeze(mask_BTT, 1) }) as Tensor
}

const attentions = [
  { by: 'matrix products', attention: composedAttention },
  ...(hasOperator('aten::scaled_dot_product_attention')
    ? [{ by: 'the fused operator', attention: fusedAttention }]
    : []),
]

describe.each(attentions)('attention by $by', ({ attention }) => {
  it.each(['attention_causal', 'attention_packed'])('gives the outputs and gradients of %s', (group) => {
    const [query, key, value] = [
      leaf(`${group}.query_BHTE`),
      leaf(`${group}.key_BKTE`),
      leaf(`${group}.value_BKTE`),
    ]
    const y = attention(query, key, value, golden.tensor(`${group}.mask_BTT`))
    expectGolden(y, `${group}.y`)
    backward([y], [golden.tensor(`${group}.grad_y`)])
    expectGolden(query.grad, `${group}.grad_query`)
    expectGolden(key.grad, `${group}.grad_key`)
    expectGolden(value.grad, `${group}.grad_value`)
  })
})

describe('cross-entropy by log-softmax and gather', () => {
  it('gives the losses and gradients of the reference, ignored labels included', () => {
    const logits_NV = leaf('cross_entropy.logits_NV')
    const labels_N = golden.tensor('cross_entropy.labels_N')
    const counted_N = sub(ones([7]), toDType(eq(labels_N, -100), 'float32'))
    const picked = gather(logSoftmax(logits_NV, -1), 1, unsqueeze(clamp(labels_N, 0, null), 1))
    const loss_N = mul(neg(squeeze(picked, 1)), counted_N)
    expectGolden(loss_N, 'cross_entropy.loss_N')
    expectGolden(div(sum(loss_N), sum(counted_N)), 'cross_entropy.loss_mean')
    const weighted = sum(mul(loss_N, golden.tensor('cross_entropy.weight_N')))
    expectGolden(add(weighted, 0), 'cross_entropy.weighted_sum')
    backward([weighted])
    expectGolden(logits_NV.grad, 'cross_entropy.grad_logits_NV')
  })
})
