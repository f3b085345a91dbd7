/** Prod runs what was promoted to it, and no digest that anything is missing of: the API server is asked, twenty times for each. */
import {
  actSkipped,
  type Claim,
  type Context,
  type Environment,
  type Evidence,
  imageRunning,
  inSync,
  isFrom,
  type Mutant,
  pauseSync,
  type RecordedEvent,
  rolledOut,
  type Scenario,
  type Signal,
  type UndoStep,
} from '#core'
import { conditionOf, type ObjectRef } from '#kit/kube'
import { createOnce } from '#kit/limit'
import type { Signing } from '#kit/signing'
import { pending, ready, waitFor } from '#kit/wait'
import { type Answer, askFor, type Candidate, type Digests, PROMOTED, putCandidates, REFUSED, type Refused } from './candidates.ts'
import { isInForce, isRead, POLICIES } from './policy.ts'

const ROUNDS = 20
const ASK = 'ask for a pod of each digest'
const ANSWERED = 'the API server answers'
const ANSWER_TIMEOUT_MS = 30_000
const EFFECT_TIMEOUT_MS = 60_000
/** The webhook may take so long; five are asked at once. */
const ANSWER_MS = 10_000
const APPLICATION = 'admission'

export interface Guarded {
  readonly environment: Environment
  /** Name of the policy. */
  readonly policy: string
  /** Whom it believes. */
  readonly signing: Signing
}

/** With what is asked for, made once for each digest that is promoted. */
interface Asked extends Guarded {
  readonly candidates: (context: Context) => Promise<Digests>
}

export function admissionProof(guarded: Guarded): Scenario {
  const once = createOnce<Digests>()
  const candidates = async (context: Context) => {
    const { registry, digest } = await imageRunning(context, context.environment)
    return once(`${registry} ${digest}`, () => putCandidates(context, guarded.signing))
  }
  const asked = { ...guarded, candidates }
  return {
    name: 'admission',
    kind: 'proof',
    about:
      'Asks the API server for pods of prod: of the promoted digest, and of others without signatures, with tampered ones, with those of another digest, and without held proofs.',
    environments: [guarded.environment],
    // The policy reads what is attached in the registry beside the cluster.
    needs: ['ownSources'],
    repeat: ROUNDS,
    steady: [inSync, rolledOut, policyIsAsked(guarded)],
    watches: [],
    steps: () => [
      {
        kind: 'act',
        name: ASK,
        async run(context, _round, { observed }) {
          const digests = await candidates(context)
          const ask = async ([name, each]: [string, string]) => [name, await askFor(context, each)] as const
          observed(Object.fromEntries(await Promise.all(Object.entries(digests).map(ask))), Date.now())
        },
      },
      { kind: 'until', isBite: true, name: ANSWERED, timeoutMs: ANSWER_TIMEOUT_MS, matches: isAnswer },
    ],
    claims: () => [admitted, ...Object.entries(REFUSED).map(([name, reason]) => refused(name as Refused, reason))],
    bounds: () => [{ name: 'answered', from: ASK, lowerMs: 1, partsMs: { asked: ANSWER_MS, candidates: 10_000 } }],
    mutants: [scopedAway(asked), ...policyMutants(asked), actSkipped()],
  }
}

const isAnswer = (event: RecordedEvent) => isFrom(ASK, event)

function answerOf({ events }: Evidence, candidate: Candidate): Answer | undefined {
  const event = events.findLast((each) => isFrom(ASK, each))
  return event === undefined || !('value' in event) ? undefined : (event.value as Record<string, Answer>)[candidate]
}

const admitted: Claim = {
  name: 'the promoted digest is let in',
  check(evidence) {
    const answer = answerOf(evidence, PROMOTED)
    if (answer === undefined) return { outcome: 'no data', seen: 'nobody answered' }
    return { outcome: answer.admitted ? 'true' : 'false', seen: answer.why ?? 'admitted' }
  },
}

/** The webhook's own words. That it, or the registry, could not be asked refuses as well, and shows nothing. */
const DENIED = /admission webhook "policy\.sigstore\.dev" denied the request: .*failed policy/s

const refused = (candidate: Refused, reason: RegExp): Claim => ({
  name: `${candidate}: refused`,
  check(evidence) {
    const answer = answerOf(evidence, candidate)
    if (answer === undefined) return { outcome: 'no data', seen: 'nobody answered' }
    if (answer.admitted) return { outcome: 'false', seen: 'it was let in' }
    const { why = '' } = answer
    return { outcome: DENIED.test(why) && reason.test(why) ? 'true' : 'no data', seen: why }
  },
})

const policyIsAsked = ({ policy }: Guarded): Signal => ({
  name: 'the policy is in force',
  async look({ cluster: { kube } }) {
    const found = await kube.get({ ...POLICIES, name: policy })
    return {
      ok: isInForce(found),
      seen: `Ready ${conditionOf(found, 'Ready')?.status ?? 'unknown'}${isRead(found) ? '' : ', not read yet'}`,
    }
  },
})

// ── Mutants ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Until this one is let in, which shows that the guard is broken. */
async function untilLetIn(context: Context, { candidates }: Asked, candidate: Candidate): Promise<void> {
  const { [candidate]: digest } = await candidates(context)
  const look = async () => {
    const { admitted, why = '' } = await askFor(context, digest)
    return admitted ? ready(undefined) : pending(why)
  }
  await waitFor(`'${candidate}' to be let in`, look, { timeoutMs: EFFECT_TIMEOUT_MS, everyMs: 250, signal: context.signal })
}

/** By the label that takes any namespace out. */
const scopedAway = (asked: Asked): Mutant => ({
  name: 'scoped-away',
  expect: 'violated',
  async break(context) {
    const ref: ObjectRef = { apiVersion: 'v1', kind: 'Namespace', name: asked.environment }
    const labelled = (value: string | null) => ({ metadata: { labels: { 'webhooks.knative.dev/exclude': value } } })
    return {
      async apply() {
        await context.cluster.kube.mergePatch(ref, labelled('true'))
        await untilLetIn(context, asked, 'unsigned')
      },
      undo: [{ op: 'patch', ref, patch: labelled(null) }],
    }
  },
})

interface Authority {
  readonly attestations: readonly { readonly policy?: object; readonly [field: string]: unknown }[]
  readonly [field: string]: unknown
}

/** Each policy lets one in that it must not. */
function policyMutants(asked: Asked): readonly Mutant[] {
  return [
    policyMutant('nothing-asked', asked, { letsIn: 'unsigned', change: ({ name }) => ({ name, static: { action: 'pass' } }) }),
    policyMutant('proofs-not-asked', asked, {
      letsIn: 'unproven',
      change: ({ attestations, ...others }) => ({ ...others, attestations: attestations.map(({ policy: _, ...each }) => each) }),
    }),
  ]
}

interface Change {
  readonly letsIn: Candidate
  readonly change: (authority: Authority) => object
}

function policyMutant(name: string, asked: Asked, { letsIn, change }: Change): Mutant {
  return {
    name,
    expect: 'violated',
    async break(context) {
      const { kube } = context.cluster
      const ref: ObjectRef = { ...POLICIES, name: asked.policy }
      const [authority] = ((await kube.get(ref))?.spec.authorities ?? []) as readonly Authority[]
      if (authority === undefined) throw new TypeError(`The policy '${asked.policy}' believes nobody`)
      const pause = await pauseSync(context, APPLICATION)
      // A list is replaced as a whole.
      const patchOf = (one: object) => ({ spec: { authorities: [one] } })
      const undo: UndoStep = { op: 'patch', ref, patch: patchOf(authority) }
      return {
        async apply() {
          await pause.apply()
          await kube.mergePatch(ref, patchOf(change(authority)))
          await untilLetIn(context, asked, letsIn)
        },
        undo: [undo, ...pause.undo],
      }
    },
  }
}
