/** The body of `PUT /faults`: what it may hold, and a sentence about what it may not. */
import { HttpError } from './http.ts'

export interface PodFaultSet {
  /** When all of it ends, in ms from now. */
  readonly forMs: number
  /** The share of requests that is answered with 500, 0 to 1. */
  readonly errorShare?: number
  /** How long each request waits first. */
  readonly latencyMs?: number
  /** CPU to burn, as a share of one core, 0 to 1. */
  readonly cpuShare?: number
  /** Resident memory to take, in MiB per second. */
  readonly leakMiBPerS?: number
  /** Blocks the event loop. */
  readonly hang?: true
  /** Ends the process. */
  readonly crash?: true
}

export type FaultName = Exclude<keyof PodFaultSet, 'forMs'>

interface Field {
  readonly expected: string
  readonly accepts: (value: unknown) => boolean
}

const FIELDS: Readonly<Record<keyof PodFaultSet, Field>> = {
  forMs: wholeNumber(1, 600_000),
  errorShare: share(),
  latencyMs: wholeNumber(0, 10_000),
  cpuShare: share(),
  leakMiBPerS: { expected: 'a number above 0 and up to 64', accepts: (value) => typeof value === 'number' && value > 0 && value <= 64 },
  hang: only(true),
  crash: only(true),
}
const NAMES = Object.keys(FIELDS)

/** All but the duration. */
export const FAULT_NAMES = NAMES.filter((name): name is FaultName => name !== 'forMs')

/** @throws HttpError 400 with one sentence on what is unknown, missing or out of range */
export function parsePodFaults(text: string): PodFaultSet {
  const body = parseObject(text)
  for (const [name, value] of Object.entries({ forMs: undefined, ...body })) {
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name as keyof PodFaultSet] : undefined
    if (field === undefined) throw refusal(`'${name}' is not one of ${NAMES.join(', ')}`)
    if (!field.accepts(value)) throw refusal(`'${name}' must be ${field.expected}: current value is ${JSON.stringify(value) ?? 'missing'}`)
  }
  if (Object.keys(body).length < 2) throw refusal(`the body must name one or more of ${FAULT_NAMES.join(', ')}`)
  return body as unknown as PodFaultSet
}

function parseObject(text: string): object {
  const value = parseJson(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw refusal('the body must be one JSON object')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function refusal(why: string): HttpError {
  return new HttpError(400, `Cannot set the faults: ${why}`)
}

function wholeNumber(min: number, max: number): Field {
  const accepts = (value: unknown) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max
  return { expected: `a whole number from ${min} to ${max}`, accepts }
}

function share(): Field {
  return { expected: 'a number from 0 to 1', accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1 }
}

function only(expected: true): Field {
  return { expected: String(expected), accepts: (value) => value === expected }
}
