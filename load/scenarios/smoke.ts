/** A version serves where it was promoted to: every request is answered, and by one version only. */
import {
  actSkipped,
  type Claim,
  inSync,
  isFrom,
  isSummary,
  LOAD_SOURCE,
  type LoadProfile,
  type LoadRequest,
  loadMeasured,
  loadSeconds,
  type Mutant,
  noRequestFailed,
  type RecordedEvent,
  rolledOut,
  type Scenario,
} from '#core'

const LOAD = 'load'
const ANSWERED = 'requests are answered'
const ENDED = 'the load ends'
const RATE_PER_S = 10
const FOR_MS = 20_000
const FAILING: LoadRequest = { path: '/api/products', headers: { 'x-fault': 'status=500' } }

const profileOf = (...requests: readonly LoadRequest[]): LoadProfile => ({
  name: 'smoke',
  about: `${RATE_PER_S} requests per second for ${FOR_MS / 1000} s.`,
  stages: [{ name: 'steady', forMs: FOR_MS, ratePerS: RATE_PER_S, requests }],
})
const profile = profileOf({ path: '/api/products' })

const oneVersion: Claim = {
  name: 'one version answered',
  check(evidence) {
    const versions = [...new Set(loadSeconds(evidence).flatMap(({ byVersion }) => Object.keys(byVersion)))]
    const outcome = versions.length === 0 ? 'no data' : versions.length === 1 ? 'true' : 'false'
    return { outcome, seen: versions.join(', ') || 'none' }
  },
}

/** Faults that are asked for count as failures: a proof that does not see them sees nothing. Where faults are off it does not turn red. */
const withFailures: Mutant = {
  name: 'with-failures',
  expect: 'violated',
  steps: (steps) => steps.map((step) => (step.kind === 'load' ? { ...step, profile: profileOf(FAILING) } : step)),
}

export const smoke: Scenario = {
  name: 'smoke',
  kind: 'proof',
  about: 'Sends requests to a promoted version: every one is answered, and by that version only.',
  environments: ['staging', 'prod'],
  steady: [inSync, rolledOut],
  watches: [],
  steps: () => [
    { kind: 'load', name: LOAD, profile },
    { kind: 'until', isBite: true, name: ANSWERED, timeoutMs: 30_000, matches: isAnswered },
    { kind: 'until', name: ENDED, timeoutMs: FOR_MS + 60_000, matches: isSummary },
  ],
  claims: () => [loadMeasured(profile), noRequestFailed((RATE_PER_S * FOR_MS * 0.9) / 1000), oneVersion],
  bounds: () => [
    { name: 'answers from the first to the last', from: ANSWERED, to: ENDED, lowerMs: FOR_MS / 2, partsMs: { load: FOR_MS, told: 15_000 } },
  ],
  mutants: [withFailures, actSkipped()],
}

function isAnswered(event: RecordedEvent): boolean {
  return isFrom(LOAD_SOURCE, event) && event.value.requests > 0
}
