/** The API server is killed: nobody who is served notices, and it is started again at once. */
import {
  type Act,
  isFrom,
  isSummary,
  leftOut,
  loadMeasured,
  type Mutant,
  NOBODY_NOTICES,
  nodeRef,
  noRequestFailed,
  type RecordedEvent,
  type Scenario,
  steadyLoad,
} from '#core'
import { STEADY, serverMachine } from './nodes.ts'
import { type Answer, asked } from './outside.ts'

const KILL = 'kill the API server'
const BACK = 'it answers again'
const API = 'API server'
const LOOK_MS = 100
/** Half a second without a gap: one that comes up answers a little now and then. */
const STREAK = 5
/** Longer than its bound. Nodes are not heard of for so long, but where all are silent none is given up. */
const FROZEN_MS = 16_000

const load = steadyLoad('api-server-killed', { forMs: 40_000, ratePerS: 10, takesMs: 200 })
const answers = asked({ name: API, everyMs: LOOK_MS, ask: async ({ cluster }) => (await cluster.kube.request('GET', '/readyz')) === 'ok' })
const answerOf = (event: RecordedEvent) => (isFrom(API, event) ? (event.value as Answer) : undefined)

/** @param frozenMs for how long nobody starts it again. @default 0 */
const kill = (frozenMs = 0): Act => ({
  kind: 'act',
  name: KILL,
  async run(context) {
    const { machines, node } = await serverMachine(context)
    if (frozenMs > 0) await machines.freezeSupervisor(node, frozenMs)
    await machines.killApiServer(node)
  },
})

const supervisorFrozen: Mutant = {
  name: 'supervisor-frozen',
  expect: 'violated',
  steps: (steps) => steps.map((step) => (step.name === KILL ? kill(FROZEN_MS) : step)),
}

export const apiServerKilled: Scenario = {
  name: 'api-server-killed',
  kind: 'chaos',
  about: 'Kills the API server (SIGKILL): its supervisor starts it again, and no request to the service fails meanwhile.',
  needs: ['apiServerProcess'],
  isExtra: true,
  steady: STEADY,
  watches: [],
  harm: {
    targets: async (context) => [nodeRef((await serverMachine(context)).node)],
    held: 'Nothing holds it: how soon its supervisor starts it again is what is measured.',
    limit: NOBODY_NOTICES,
  },
  observes: [answers],
  steps: () => [
    { kind: 'load', name: 'load', profile: load },
    kill(),
    { kind: 'until', isBite: true, name: 'it does not answer', timeoutMs: 10_000, matches: (event) => answerOf(event)?.ok === false },
    {
      kind: 'until',
      name: BACK,
      // Beyond the time for which its supervisor may be frozen: an undo needs it.
      timeoutMs: 2 * FROZEN_MS + 30_000,
      matches: (event) => (answerOf(event)?.streak ?? 0) >= STREAK,
    },
    { kind: 'until', name: 'the load ends', timeoutMs: 120_000, matches: isSummary },
  ],
  claims: () => [loadMeasured(load), noRequestFailed(300)],
  bounds: () => [
    {
      name: 'answers again after the kill',
      from: KILL,
      to: BACK,
      lowerMs: STREAK * LOOK_MS,
      partsMs: { restart: 500, start: 12_000, answers: 2 * STREAK * LOOK_MS },
    },
  ],
  mutants: [supervisorFrozen, leftOut(KILL, 'not-killed')],
}
