/** What k6 says, line by line: a request, its own count at the end, or a word of its own. */

export type Line = RequestLine | CountsLine | { readonly kind: 'word'; readonly text: string }

/** One request, when it was answered or given up. */
export interface RequestLine {
  readonly kind: 'request'
  readonly atMs: number
  readonly stage: string
  /** 0 where there was no answer. */
  readonly status: number
  readonly tookMs: number
  /** As the answer named them; empty where it did not. */
  readonly pod: string
  readonly version: string
  readonly ok: boolean
  /** Why there was no answer; else empty. */
  readonly error: string
}

/** k6's own count of the whole run. */
export interface CountsLine {
  readonly kind: 'counts'
  readonly requests: number
  readonly iterations: number
  /** Iterations that it could not begin in time. */
  readonly dropped: number
}

const REQUEST_TYPES = ['number', 'string', 'number', 'number', 'string', 'string', 'boolean', 'string']

/** Whatever is neither a request nor a count is a word: k6 warns on the same stream. */
export function parseLine(text: string): Line {
  const value = /^[[{]/.test(text) ? parseJson(text) : undefined
  if (Array.isArray(value) && isRequest(value)) {
    const [atMs, stage, status, tookMs, pod, version, ok, error] = value
    return { kind: 'request', atMs, stage, status, tookMs, pod, version, ok, error: withoutAddresses(error) }
  }
  return isCounts(value) ? { kind: 'counts', ...value } : { kind: 'word', text }
}

type RequestValues = [number, string, number, number, string, string, boolean, string]

function isRequest(values: readonly unknown[]): values is RequestValues {
  return values.length === REQUEST_TYPES.length && values.every((value, i) => typeof value === REQUEST_TYPES[i])
}

function isCounts(value: unknown): value is Omit<CountsLine, 'kind'> {
  if (typeof value !== 'object' || value === null) return false
  const counts = value as Partial<Record<string, unknown>>
  return ['requests', 'iterations', 'dropped'].every((name) => Number.isInteger(counts[name]))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Each connection has a port of its own: with it no two errors would be alike. */
function withoutAddresses(error: string): string {
  return error.replaceAll(/ ?(\d{1,3}\.){3}\d{1,3}:\d+(->(\d{1,3}\.){3}\d{1,3}:\d+)?/g, '')
}
