/** The proof that prod asks for evidence, judged on made-up answers of the API server. */
import { judge, type RunRecord } from '#core'
import { admissionProof } from '../../admission/scenario.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('admission')

const proof = admissionProof({ environment: 'prod', policy: 'held-proofs', signing: stack.signing })
const [act] = proof.steps(stack.timing.local)
const ROUNDS = proof.repeat ?? 1

interface Answer {
  readonly admitted: boolean
  readonly why?: string
}
const denied = (reason: string): Answer => ({
  admitted: false,
  why: `admission webhook "policy.sigstore.dev" denied the request: validation failed: failed policy: held-proofs: spec.containers[0].image\n${reason}`,
})
const GOOD: Readonly<Record<string, Answer>> = {
  promoted: { admitted: true },
  unsigned: denied('no matching attestations: '),
  tampered: denied('no matching attestations: accepted signatures do not match threshold, Found: 0, Expected 1'),
  'of another digest': denied('no matching attestations: no matching subject digest found'),
  unproven: denied("failed evaluating rego policy for type test-result: policy is not compliant for query 'x'"),
}

/** What comes of a run in whose last round some answers differ; null where nobody asks at all. */
function judged(last: Readonly<Record<string, Answer>> | null = {}, rounds = ROUNDS): string {
  const round = (answers: object | null) => ({
    before: [],
    startedAtMs: 0,
    endedAtMs: 40_000,
    events: [
      { type: 'BEGUN', step: act?.name, atMs: 0 },
      ...(answers === null ? [] : [{ type: 'OBSERVED', source: act?.name, value: answers, atMs: 90 }]),
      { type: 'DONE', step: act?.name, atMs: 100 },
    ],
  })
  const all = Array.from({ length: rounds }, (_, i) => round(i < rounds - 1 ? GOOD : last && { ...GOOD, ...last }))
  const looked = proof.steady.map(({ name }) => ({ name, ok: true, seen: '' }))
  const record = { steadyBefore: looked, steadyAfter: looked, rounds: all } as unknown as RunRecord
  const { verdict, reason } = judge(record, proof, stack.timing.local)
  return `${verdict}: ${reason}`
}

test('it holds where each round lets the promoted digest in, and none of the others', () => {
  assert.is(judged(), 'held: 20 of 20 rounds within bounds')
  assert.is(judged({}, 19), 'no data: 19 of 20 rounds were recorded')
})

test('it is violated by one digest that is let in once, and where the promoted one is refused', () => {
  for (const name of Object.keys(GOOD).filter((each) => each !== 'promoted'))
    assert.is(judged({ [name]: { admitted: true } }), `violated: ${name}: refused: it was let in`)
  assert.match(judged({ promoted: denied('no matching attestations') }), /^violated: the promoted digest is let in: admission webhook/)
})

test('a refusal for any other reason shows nothing: a webhook or a registry that is away, a quota, a forgery of another kind', () => {
  const others = [
    'Internal error occurred: failed calling webhook "policy.sigstore.dev": failed to call webhook: no endpoints available',
    denied('Get "http://registry.kube-system.svc.cluster.local:5000/v2/": dial tcp: connection refused').why,
    'pods "admission" is forbidden: exceeded quota: quota',
    GOOD['of another digest']?.why,
  ]
  for (const why of others) assert.match(judged({ unsigned: { admitted: false, why: why ?? '' } }), /^no data: unsigned: refused: /)
})

test('what nobody asked is not injected', () => assert.match(judged(null), /^not injected: round 20/))

test('it is run in prod and nowhere else, and each of its mutants names what goes wrong', () => {
  assert.equal(proof.environments, ['prod'])
  assert.equal(
    proof.mutants.map(({ name, expect }) => [name, expect]),
    [
      ['scoped-away', 'violated'],
      ['nothing-asked', 'violated'],
      ['proofs-not-asked', 'violated'],
      ['act-skipped', 'not injected'],
    ],
  )
})

test.run()
