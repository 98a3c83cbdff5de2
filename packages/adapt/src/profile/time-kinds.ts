import type { CallNode } from './call-tree.js'

/** What time is spent on. */
export const TIME_KINDS = [
  'matrix products',
  'attention',
  'loss',
  'optimiser',
  'other operators',
  'casts',
  'copies and fills',
  'allocator',
  'dispatch',
  'autograd',
  'JavaScript',
  'garbage collection',
] as const

/** One of {@link TIME_KINDS}. */
export type TimeKind = (typeof TIME_KINDS)[number]

const MATRIX_PRODUCTS =
  /^(addmm|mm|bmm|baddbmm|addbmm|addmv|mv|dot|matmul|linear|linear_backward|mkldnn_linear.*|_linear_pointwise|_grouped_mm|mkl_linear)_?$/
const ATTENTION = /attention|^_?softmax$|^_softmax_backward_data$/
const COPIES =
  /^(copy_|clone|contiguous|cat|stack|_cat|repeat|repeat_interleave|index_copy_?|fill_|zero_|_foreach_copy_|masked_fill_?)$/

/** Looks at memory another way, or hands on to others: what it takes itself is the way there. */
const DISPATCH =
  /^(view|_unsafe_view|_reshape_alias|reshape|transpose|t|numpy_T|permute|as_strided|slice|narrow|select|expand|expand_as|unsqueeze|squeeze|split|split_with_sizes|chunk|unbind|unflatten|flatten|detach|detach_|alias|view_as|empty|empty_like|empty_strided|new_empty|new_empty_strided|new_zeros|zeros|zeros_like|ones_like|full|full_like|resize_|resolve_conj|resolve_neg|to|_to_copy|type_as|result_type|item|_local_scalar_dense|is_nonzero|lift_fresh|lift)$/

const bare = (name: string) => name.slice(name.lastIndexOf(':') + 1)

/** What an operator's own time is spent on where nothing else is known of its place. */
function kindOfOperator(node: CallNode): TimeKind {
  const name = bare(node.event.name)
  if (name === 'copy_' && parentOperator(node) === '_to_copy') return 'casts'
  if (MATRIX_PRODUCTS.test(name)) return 'matrix products'
  if (ATTENTION.test(name)) return 'attention'
  if (COPIES.test(name)) return 'copies and fills'
  return DISPATCH.test(name) ? 'dispatch' : 'other operators'
}

function parentOperator({ parent }: CallNode): string | undefined {
  return parent?.event.kind === 'operator' ? bare(parent.event.name) : undefined
}

/** The outermost region around an event, itself included: the part of the step that it belongs to. */
export function partOf(node: CallNode): string | undefined {
  let part: string | undefined
  for (let at: CallNode | undefined = node; at !== undefined; at = at.parent)
    if (at.event.kind === 'region') part = at.event.name
  return part
}

/** What the own time of an event is spent on. */
export function timeKindOf(node: CallNode): TimeKind {
  switch (node.event.kind) {
    case 'gc':
      return 'garbage collection'
    case 'allocator':
      return 'allocator'
    case 'region':
      return 'JavaScript'
    case 'call':
      return 'dispatch'
    case 'backward':
      return 'autograd'
    case 'operator': {
      if (node.event.name.startsWith('autograd::')) return 'autograd'
      const kind = kindOfOperator(node)
      if (kind === 'matrix products' || kind === 'dispatch') return kind
      const part = partOf(node)
      if (part === 'loss') return 'loss'
      return part === 'optimiser' ? 'optimiser' : kind
    }
  }
}
