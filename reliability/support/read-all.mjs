// Usage: read-all.mjs FOLDER FILE. Reads every document of a file and prints, as JSON, their number, the memory that came on
// top, and how fast the first and the last tenth of the bytes came.
import { readDocuments, resolveSources } from '@adapt-ts/adapt'

const [, , folder, file] = process.argv
const rssMb = () => process.memoryUsage.rss() / 2 ** 20
const startMb = rssMb()
let [count, bytes, peakMb] = [0, 0, startMb]
/** Seconds at which each hundredth of a gigabyte was done. */
const marks = [[0, performance.now()]]
for await (const document of readDocuments(await resolveSources([{ path: file }], folder))) {
  count++
  bytes += document.content.text.length
  if (bytes - marks.at(-1)[0] > 1e6) {
    marks.push([bytes, performance.now()])
    peakMb = Math.max(peakMb, rssMb())
  }
}
const speed = (from, to) => {
  const [first, last] = [marks.find(([b]) => b >= from * bytes), marks.findLast(([b]) => b <= to * bytes)]
  return (last[0] - first[0]) / 1e3 / (last[1] - first[1])
}
console.log(
  JSON.stringify({ count, bytes, extraMb: peakMb - startMb, first: speed(0, 0.1), last: speed(0.9, 1) }),
)
