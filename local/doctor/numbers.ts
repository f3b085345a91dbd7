/** Figures as entries say and compare them. */

/** `12.3 GB` */
export const formatGb = (gb: number) => `${gb.toFixed(1)} GB`

/**
 * Whether a version such as `20.10.24+dfsg1` or `v1.36.3` is at least `least`, compared by as many numbers as that has.
 * @returns undefined where the text has no number.
 */
export function isAtLeast(version: string, least: string): boolean | undefined {
  const [has, needs] = [numbersOf(version), numbersOf(least)]
  if (has.length === 0) return undefined
  const at = needs.findIndex((number, i) => (has[i] ?? 0) !== number)
  return at === -1 || (has[at] ?? 0) > (needs[at] ?? 0)
}

function numbersOf(version: string): number[] {
  return (/\d+(\.\d+)*/.exec(version)?.[0] ?? '').split('.').filter(Boolean).map(Number)
}
