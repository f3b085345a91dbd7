/** Things that are chosen by their names, as `--only` takes them. */
import { type Explanation, UserError } from './errors.ts'
import { nearest } from './nearest.ts'

/** `'a, b'` as names. */
export function namesIn(list = ''): string[] {
  return list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

/**
 * Those of these names, in the order of the list; all where none is named.
 * @param act what is to be done with one: `run the gate`.
 * @throws UserError with the nearest name for one that does not exist.
 */
export function pickNamed<T extends { readonly name: string }>(all: readonly T[], names: readonly string[], act: string): readonly T[] {
  const known = all.map(({ name }) => name)
  const wrong = names.find((name) => !known.includes(name))
  if (wrong === undefined) return all.filter(({ name }) => names.length === 0 || names.includes(name))
  throw unknownName(wrong, known, { what: `Cannot ${act} '${wrong}'`, why: 'there is none of that name' })
}

/** A name that is none of those that are known: with the nearest, and all of them. */
export function unknownName(name: string, known: readonly string[], { what, why }: Omit<Explanation, 'next'>): UserError {
  return new UserError({ what, why, next: `Did you mean '${nearest(name, known)}'? Known: ${known.join(', ')}` })
}
