/** What is sent: the profiles that are known by name, and builders for the proofs' own. */
import type { LoadProfile, LoadRequest } from '#core'

const PRODUCTS = '/api/products'
const MINUTE_MS = 60_000
/** Where the service carries out faults, as it does in dev, this header asks for one. */
const FAULT = 'x-fault'

const plain: LoadRequest = { path: PRODUCTS }

/** Requests of which a share is answered with 500, as asked for: those are no failures. `share` lies between 0 and 1. */
export function failing(share: number): LoadRequest[] {
  const bad: LoadRequest = { path: PRODUCTS, headers: { [FAULT]: 'status=500' }, expect: 500 }
  return [
    { ...plain, weight: 1 - share },
    { ...bad, weight: share },
  ].filter(({ weight }) => weight > 0)
}

export interface Saturating {
  /** Of the profile. */
  readonly name: string
  readonly heavyMs: number
  /** How long a trickle follows, so that scaling in is seen by its answers; 0 for none. */
  readonly lightMs: number
  /** @default 20 */
  readonly ratePerS?: number
  /** CPU that each heavy request burns. @default 18 */
  readonly cpuMs?: number
}

/**
 * Stages `heavy` and `light`. Two pods of 200m are driven to their limit, 195 of their 200m as measured, and five can just
 * carry it: more would drown the two before the others are there, and what waits beyond its time limit fails.
 */
export function saturating({ name, heavyMs, lightMs, ratePerS = 20, cpuMs = 18 }: Saturating): LoadProfile {
  const burning: LoadRequest = { path: PRODUCTS, headers: { [FAULT]: `cpu=${cpuMs}` } }
  const heavy = { name: 'heavy', forMs: heavyMs, ratePerS, requests: [burning] }
  const light = { name: 'light', forMs: lightMs, ratePerS: 5, requests: [plain] }
  const about = `${ratePerS} requests per second that burn ${cpuMs} ms of CPU each, then a trickle.`
  return { name, about, stages: lightMs === 0 ? [heavy] : [heavy, light] }
}

export const profiles: readonly LoadProfile[] = [
  {
    name: 'steady',
    about: '10 requests per second for a minute.',
    stages: [{ name: 'steady', forMs: MINUTE_MS, ratePerS: 10, requests: [plain] }],
  },
  {
    name: 'ramp',
    about: 'From 2 to 40 requests per second within a minute.',
    stages: [{ name: 'ramp', forMs: MINUTE_MS, fromPerS: 2, ratePerS: 40, requests: [plain] }],
  },
  {
    name: 'spike',
    about: '5 requests per second, for five seconds 60, and 5 again.',
    stages: [
      { name: 'before', forMs: 20_000, ratePerS: 5, requests: [plain] },
      { name: 'spike', forMs: 5_000, ratePerS: 60, requests: [plain] },
      { name: 'after', forMs: 20_000, ratePerS: 5, requests: [plain] },
    ],
  },
  {
    name: 'errors',
    about: '10 requests per second for a minute, half of them answered with 500 as asked for.',
    stages: [{ name: 'errors', forMs: MINUTE_MS, ratePerS: 10, requests: failing(0.5) }],
  },
  {
    name: 'soak',
    about: '5 requests per second for ten minutes.',
    stages: [{ name: 'soak', forMs: 10 * MINUTE_MS, ratePerS: 5, requests: [plain] }],
  },
  saturating({ name: 'saturate', heavyMs: 45_000, lightMs: 30_000 }),
]
