/** The parameters of `GET /messages`. A typo is refused: a filter that is not understood must not match everything. */
import { HttpError } from './http.ts'
import { type MessageQuery, STATES, type State } from './message.ts'

export const MAX_LIMIT = 1_000
export const MAX_WAIT_MS = 20_000
const DEFAULT_LIMIT = 100
const MAX_ALERT_CHARS = 200

export interface MessagesRequest {
  readonly query: MessageQuery
  /** How long to wait for a message after `afterId`; 0 answers at once. */
  readonly waitMs: number
}

const NAMES = ['since', 'alert', 'state', 'afterId', 'waitMs', 'limit'] as const
type Name = (typeof NAMES)[number]
type Given = Readonly<Partial<Record<Name, string>>>

/** @throws HttpError 400 with one sentence about the first parameter that is wrong */
export function readQuery(params: URLSearchParams): MessagesRequest {
  const given = single(params)
  const since = wholeNumber(given, 'since')
  const afterId = wholeNumber(given, 'afterId')
  const waitMs = wholeNumber(given, 'waitMs', { max: MAX_WAIT_MS }) ?? 0
  if (waitMs > 0 && afterId === undefined) throw new HttpError(400, "Parameter 'waitMs' needs 'afterId': the last id that you know, or 0")
  const query = {
    ...(since === undefined ? {} : { since }),
    ...(given.alert === undefined ? {} : { alert: alertOf(given.alert) }),
    ...(given.state === undefined ? {} : { state: stateOf(given.state) }),
    ...(afterId === undefined ? {} : { afterId }),
    limit: wholeNumber(given, 'limit', { min: 1, max: MAX_LIMIT }) ?? DEFAULT_LIMIT,
  }
  return { query, waitMs }
}

function single(params: URLSearchParams): Given {
  const given = new Map<string, string>()
  for (const [name, value] of params) {
    if (!NAMES.some((known) => known === name)) throw new HttpError(400, `Parameter ${quote(name)} is not one of ${NAMES.join(', ')}`)
    if (given.has(name)) throw new HttpError(400, `Parameter '${name}' is given more than once`)
    given.set(name, value)
  }
  return Object.fromEntries(given)
}

function wholeNumber(given: Given, name: Name, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}): number | undefined {
  const text = given[name]
  if (text === undefined) return undefined
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new HttpError(400, `Parameter '${name}' is ${quote(text)}, expected a whole number from ${min} to ${max}`)
}

function alertOf(text: string): string {
  if (text !== '' && text.length <= MAX_ALERT_CHARS) return text
  throw new HttpError(400, `Parameter 'alert' must be a name of 1 to ${MAX_ALERT_CHARS} characters`)
}

function stateOf(text: string): State {
  const state = STATES.find((each) => each === text)
  if (state !== undefined) return state
  throw new HttpError(400, `Parameter 'state' is ${quote(text)}, expected ${STATES.join(' or ')}`)
}

const quote = (text: string) => `'${text.length <= 40 ? text : `${text.slice(0, 39)}…`}'`
