import { readFileSync } from 'node:fs'
import path from 'node:path'

/** float32 tensors of a safetensors file by name, read by its description: length, JSON header, bytes. */
function readTensors(file) {
  const bytes = readFileSync(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, start))
  delete header.__metadata__
  return Object.entries(header).map(
    ([
      name,
      {
        data_offsets: [from, to],
      },
    ]) => [
      name,
      new Float32Array(bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to)),
    ],
  )
}

/** Relative distance, in L2, of all that two finished runs trained: their models or adapters. */
export function modelDistance(a, b) {
  const step = (folder) => path.join(folder, 'model')
  const file = (folder) => {
    for (const name of ['adapter_model.safetensors', 'model.safetensors'])
      try {
        return new Map(readTensors(path.join(step(folder), name)))
      } catch (error) {
        if (error.code !== 'ENOENT') throw error
      }
    throw new Error(`${folder}: no model`)
  }
  const [first, second] = [file(a), file(b)]
  let [difference, size] = [0, 0]
  for (const [name, values] of first) {
    const others = second.get(name)
    for (const [i, value] of values.entries()) {
      difference += (value - others[i]) ** 2
      size += value ** 2
    }
  }
  return Math.sqrt(difference / size)
}
