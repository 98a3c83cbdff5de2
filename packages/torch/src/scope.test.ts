import { describe, expect, it } from 'vitest'
import {
  add,
  add_,
  backward,
  memoryStats,
  mul,
  ones,
  openScope,
  scope,
  sum,
  type Tensor,
  tensor,
} from './index.js'
import { engine } from './native.js'
import { codeOf, torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

const live = () => memoryStats().liveTensors

/** Runs `action` and checks that it left as many live tensors as there were. */
function balanced(action: () => void): void {
  const before = live()
  action()
  expect(live()).toBe(before)
}

describe('scope', () => {
  it('frees what is made inside and keeps what is returned', () => {
    balanced(() => {
      let inner: Tensor | undefined
      const result = scope(() => {
        inner = ones([2])
        return add(inner, 1)
      })
      expect(inner!.isDisposed).toBe(true)
      expect(valuesOf(result)).toEqual([2, 2])
      result.dispose()
    })
  })

  it('finds returned tensors in arrays, maps and plain objects, and nowhere else', () => {
    balanced(() => {
      const kept = scope(() => ({
        list: [ones([1]), [ones([1])]],
        map: new Map([['a', ones([1])]]),
        plain: { deep: ones([1]) },
        other: 'text',
        none: null,
        set: new Set([ones([1])]),
      }))
      const [first, [second]] = kept.list as [Tensor, [Tensor]]
      const alive = [first, second, kept.map.get('a')!, kept.plain.deep]
      expect(alive.map(({ isDisposed }) => isDisposed)).toEqual([false, false, false, false])
      expect([...kept.set][0]!.isDisposed).toBe(true)
      for (const one of alive) one.dispose()
    })
  })

  it('hands a result on to the scope around it', () => {
    balanced(() => {
      let passed: Tensor | undefined
      scope(() => {
        passed = scope(() => scope(() => ones([2])))
        expect(valuesOf(passed)).toEqual([1, 1])
      })
      expect(passed!.isDisposed).toBe(true)
    })
  })

  it('leaves tensors of outer scopes to them, however deep they are returned', () => {
    balanced(() => {
      scope(() => {
        const total = tensor([1], [1])
        const same = scope(() => scope(() => add_(total, ones([1]))))
        expect(same).toBe(total)
        scope(() => {
          scope(() => total)
          scope(() => scope(() => total))
        })
        expect(valuesOf(total)).toEqual([2])
      })
    })
  })

  it('does not free a tensor made outside every scope when one returns it', () => {
    balanced(() => {
      const outside = ones([1])
      scope(() => scope(() => outside))
      expect(valuesOf(outside)).toEqual([1])
      outside.dispose()
    })
  })

  it('frees everything and ends when the callback throws', () => {
    balanced(() => {
      expect(() =>
        scope(() => {
          ones([1])
          scope(() => {
            ones([1])
            throw new Error('inside')
          })
        }),
      ).toThrow('inside')
      const after = scope(() => ones([1]))
      expect(after.isDisposed).toBe(false)
      after.dispose()
    })
  })

  it('refuses a callback that returns a promise, and swallows what the promise rejects with', async () => {
    const before = live()
    const error = torchErrorOf(() =>
      scope(async () => {
        ones([1])
        throw new Error('never seen')
      }),
    )
    expect(error.code).toBe('SCOPE_ASYNC')
    await new Promise((resolve) => setImmediate(resolve))
    expect(live()).toBe(before)
  })

  it('lets persistent tensors live until they are disposed', () => {
    balanced(() => {
      let kept: Tensor | undefined
      scope(() => {
        kept = scope(() => ones([1]).persist())
      })
      expect(valuesOf(kept!)).toEqual([1])
      kept!.dispose()
      expect(codeOf(() => kept!.persist())).toBe('TENSOR_DISPOSED')
    })
  })

  it('takes no notice of tensors that were disposed inside', () => {
    balanced(() => {
      const survivor = scope(() => {
        const early = ones([1])
        early.dispose()
        const reusesTheSlot = ones([1])
        return [early, reusesTheSlot]
      })
      expect(survivor[0]!.isDisposed).toBe(true)
      expect(survivor[1]!.isDisposed).toBe(false)
      survivor[1]!.dispose()
    })
  })

  it('keeps freed intermediate results usable for backward', () => {
    balanced(() => {
      using x = tensor([3], [1]).setRequiresGrad()
      using loss = scope(() => sum(mul(mul(x, x), x)))
      scope(() => {
        backward([loss])
        expect(valuesOf(x.grad!)).toEqual([27])
      })
      x.grad = undefined
    })
  })

  it('ends even when it returns more tensors than the shared buffer holds', () => {
    balanced(() => {
      const one = ones([1])
      expect(codeOf(() => scope(() => Array(70_000).fill(one)))).toBe('BUFFER_TOO_SMALL')
      const inner = scope(() => scope(() => ones([1])))
      expect(inner.isDisposed).toBe(false)
      inner.dispose()
      one.dispose()
    })
  })
})

describe('openScope', () => {
  it('frees at the end of its block, except what was kept', () => {
    balanced(() => {
      let freed: Tensor
      let kept: Tensor
      {
        using s = openScope()
        freed = ones([1])
        kept = s.keep({ result: [ones([1])] }).result[0]!
      }
      expect([freed.isDisposed, kept.isDisposed]).toEqual([true, false])
      kept.dispose()
    })
  })

  it('must end in the reverse order of its beginning', () => {
    balanced(() => {
      const outer = openScope()
      const inner = openScope()
      ones([1])
      expect(codeOf(() => outer[Symbol.dispose]())).toBe('SCOPE_UNBALANCED')
      inner[Symbol.dispose]()
      outer[Symbol.dispose]()
      expect(codeOf(() => outer[Symbol.dispose]())).toBe('SCOPE_UNBALANCED')
    })
  })
})

describe('a tensor handle', () => {
  it('may be disposed twice and is refused afterwards', () => {
    balanced(() => {
      const x = ones([2])
      x.dispose()
      x.dispose()
      expect(x.isDisposed).toBe(true)
      expect(x.toString()).toBe('Tensor(disposed)')
      const uses = [() => x.shape, () => x.dtype, () => x.device, () => x.numel, () => x.requiresGrad]
      const more = [() => x.item(), () => x.toFloat32Array(), () => x.grad, () => x.setRequiresGrad()]
      const most = [() => x.readFromFile(0, 0), () => x.writeToFile(0, 0), () => x.persist(), () => add(x, 1)]
      for (const use of [...uses, ...more, ...most]) expect(codeOf(use)).toBe('TENSOR_DISPOSED')
    })
  })

  it('stays dead when its place in the table is used again', () => {
    balanced(() => {
      const first = ones([1])
      first.dispose()
      const second = ones([1])
      expect(second.handle % 2 ** 24).toBe(first.handle % 2 ** 24)
      expect(first.isDisposed).toBe(true)
      expect(codeOf(() => add(first, 1))).toBe('TENSOR_DISPOSED')
      first.dispose()
      expect(second.isDisposed).toBe(false)
      second.dispose()
    })
  })

  it('is disposed at the end of a block by `using`', () => {
    balanced(() => {
      let seen: Tensor
      {
        using x = ones([1])
        seen = x
        expect(seen.isDisposed).toBe(false)
      }
      expect(seen.isDisposed).toBe(true)
    })
  })

  it.each([-1, NaN, Infinity, 0.5, 2 ** 53, 1e300])('cannot be made up: %s is not alive', (handle) => {
    expect(engine().native.isLive(handle)).toBe(false)
  })
})
