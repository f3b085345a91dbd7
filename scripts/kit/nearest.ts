/** "Did you mean": the known word with the fewest edits. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  return known
    .map((each) => ({ each, edits: distance(word, each) }))
    .sort((a, b) => a.edits - b.edits)
    .at(0)?.each
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min(at(row, j + 1) + 1, at(next, j) + 1, at(row, j) + (letter === other ? 0 : 1)))
    }
    row = next
  }
  return at(row, row.length - 1)
}

const at = (row: readonly number[], index: number) => row[index] ?? 0
