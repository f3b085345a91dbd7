/** W3C trace context (https://www.w3.org/TR/trace-context/): each request is in one trace, its caller's or a new one. */
import { randomFillSync } from 'node:crypto'

export interface Trace {
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** 16 lower-case hex digits: this request's own. */
  readonly spanId: string
  /** The caller's span. Without one the trace began here. */
  readonly parentSpanId?: string
  /** Whether whoever began the trace records it. */
  readonly isSampled: boolean
  /** The caller's `tracestate`, as it came. */
  readonly state?: string
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const ALL_ZERO = /^0+$/
/** Longer ones may be dropped. */
const STATE = /^[\x20-\x7e]{1,512}$/

const pool = Buffer.alloc(4_096)
let poolUsed = 0

/**
 * Continues the trace of a valid `traceparent`; begins one without.
 * @param isSampled whether a trace that begins here is recorded
 */
export function traceFrom(headers: Headers, isSampled: boolean): Trace {
  const parent = parseTraceparent(headers.get('traceparent'))
  if (parent === undefined) return newTrace(isSampled)
  const state = headers.get('tracestate') ?? ''
  return { ...parent, spanId: randomHex(8), ...(STATE.test(state) ? { state } : {}) }
}

/** A trace that begins here. */
export function newTrace(isSampled: boolean): Trace {
  return { traceId: randomHex(16), spanId: randomHex(8), isSampled }
}

/** `traceparent`, and `tracestate` where there is one. */
export function traceHeaders({ traceId, spanId, isSampled, state }: Trace): Record<string, string> {
  const traceparent = `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`
  return state === undefined ? { traceparent } : { traceparent, tracestate: state }
}

/** As fields of a log line. */
export function traceFields({ traceId, spanId }: Pick<Trace, 'traceId' | 'spanId'>): { traceId: string; spanId: string } {
  return { traceId, spanId }
}

/** The trace that a response says it belongs to, as fields of a log line. */
export function traceFieldsOf(response: Response): { traceId?: string; spanId?: string } {
  const [, , traceId, spanId] = TRACEPARENT.exec(response.headers.get('traceparent') ?? '') ?? []
  return traceId === undefined || spanId === undefined ? {} : { traceId, spanId }
}

/** From a pool: a call for each id costs ten times as much. */
function randomHex(bytes: number): string {
  if (poolUsed + bytes > pool.length) poolUsed = 0
  if (poolUsed === 0) randomFillSync(pool)
  poolUsed += bytes
  return pool.toString('hex', poolUsed - bytes, poolUsed)
}

/** Versions after 00 may carry more behind what is known here; ff is not a version. */
function parseTraceparent(header: string | null): (Pick<Trace, 'traceId' | 'isSampled'> & { parentSpanId: string }) | undefined {
  const [, version, traceId = '', parentSpanId = '', flags = '', rest] = TRACEPARENT.exec(header ?? '') ?? []
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return undefined
  if (ALL_ZERO.test(traceId) || ALL_ZERO.test(parentSpanId)) return undefined
  return { traceId, parentSpanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}
