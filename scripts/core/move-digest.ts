/** The digest of an environment moved in the files of `deploy`, one value in each, as a person would edit it. Pure. */
import { isScalar, parseDocument } from 'yaml'
import { UserError } from '#kit/errors'
import { pathsOf } from './delivery.ts'
import type { ValuesOf } from './gitops.ts'
import type { Digest } from './types.ts'

const DIGEST = /^sha256:[0-9a-f]{64}$/

/** Where the digest stands: in the environment's values, and in the Application that carries them to the chart. */
const PLACES: readonly (readonly (string | number)[])[] = [
  ['image', 'digest'],
  ['spec', 'sources', 0, 'helm', 'valuesObject', 'image', 'digest'],
]

/**
 * Changes `files` in place. Comments, order and quotes stay as they are; a file that says so already is not touched.
 * @returns whether anything was changed
 * @throws UserError where the environment runs nothing yet, or a file is none of ours
 */
export function moveDigestIn(files: Map<string, string>, of: ValuesOf, digest: Digest): boolean {
  const what = `Cannot move '${of.environment}'`
  if (!DIGEST.test(digest)) throw new UserError({ what, why: `'${digest}' is no digest` })
  const moved = pathsOf(of).map((path, i) => {
    const text = files.get(path)
    if (text === undefined)
      throw new UserError({
        what,
        why: `deploy has no ${path}: nothing runs there yet`,
        next: `Run npm run cloud:up -- --env ${of.environment}`,
      })
    const edited = withValue(text, { path, keys: PLACES[i] ?? [], value: digest })
    files.set(path, edited)
    return edited !== text
  })
  return moved.includes(true)
}

interface Value {
  readonly path: string
  readonly keys: readonly (string | number)[]
  readonly value: string
}

/** The parser says where the value stands, and only that is written anew: it would print the rest by its own taste. */
function withValue(text: string, { path, keys, value }: Value): string {
  const doc = parseDocument(text, { version: '1.1' })
  const [broken] = doc.errors
  const node = broken === undefined ? doc.getIn(keys, true) : undefined
  if (!isScalar(node) || typeof node.value !== 'string' || !node.range)
    throw new UserError({ what: `Cannot edit ${path}`, why: broken?.message.split('\n')[0] ?? `it has no ${keys.join('.')}` })
  const [from, to] = node.range
  const edited = `${text.slice(0, from)}${text.slice(from, to).replace(node.value, value)}${text.slice(to)}`
  if (parseDocument(edited, { version: '1.1' }).getIn(keys) !== value) throw new TypeError(`${path} does not say ${value} after its edit`)
  return edited
}
