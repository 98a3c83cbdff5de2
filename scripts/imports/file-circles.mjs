/**
 * Files that import each other, however long the way round: one list for each group, in the order of their names.
 * @param {Map<string, Set<string>>} edges  imported files by importing file
 * @returns {string[][]}
 */
export function fileCircles(edges) {
  const circles = []
  const number = new Map()
  const lowest = new Map()
  const trail = []
  // Tarjan's strongly connected components.
  const visit = (file) => {
    number.set(file, number.size)
    lowest.set(file, number.get(file))
    trail.push(file)
    for (const to of edges.get(file) ?? []) {
      if (!number.has(to)) {
        visit(to)
        lowest.set(file, Math.min(lowest.get(file), lowest.get(to)))
      } else if (trail.includes(to)) {
        lowest.set(file, Math.min(lowest.get(file), number.get(to)))
      }
    }
    if (lowest.get(file) !== number.get(file)) return
    const group = trail.splice(trail.indexOf(file))
    if (group.length > 1 || edges.get(file)?.has(file)) circles.push(group.sort())
  }
  for (const file of edges.keys()) if (!number.has(file)) visit(file)
  return circles
}
