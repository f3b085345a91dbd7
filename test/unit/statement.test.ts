/** What proofs showed of a digest: written, opened, refused. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Digest,
  missingProofs,
  openStatement,
  type ProvenProof,
  parsePromotion,
  type Result,
  type RunRecord,
  type Scenario,
  type Statement,
  shownBy,
  statementOf,
  type Verdict,
} from '#core'
import { UserError } from '#kit/errors'
import { sha256 } from '#kit/hash'
import { keySigning } from '#kit/signing'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { digest } from './platform-fixture.ts'

const test = suite('statement')

const proof = (name: string, verdict: Verdict = 'held'): ProvenProof => ({ name, verdict, startedAt: '2026-01-01T00:00:00Z', record: 'ab' })
const image = { name: 'holdfast/service', digest: digest('a') }
const proven = (...proofs: readonly ProvenProof[]) =>
  statementOf({ environment: 'dev', image, deploy: 'c'.repeat(40), proofs: proofs.length === 0 ? [proof('x'), proof('y')] : proofs })
const folder = await mkdtemp(join(tmpdir(), 'holdfast-statement-'))
test.after(() => rm(folder, { recursive: true, force: true }))
const signing = keySigning(folder)
const seal = (content: Statement | string) => signing.sign(typeof content === 'string' ? content : JSON.stringify(content))

const pointerOf = (bundle: string): Digest => `sha256:${sha256(bundle)}`
/** As verified for `dev` and the digest of `image`. */
async function open(bundle: string, pointer = pointerOf(bundle)) {
  const opened = await openStatement(bundle, { pointer, environment: 'dev', digest: image.digest, signing })
  return 'refused' in opened ? opened.refused : opened.statement
}

test('a statement is an in-toto test result about one digest', () => {
  const { predicate, ...statement } = proven()
  assert.equal(statement, {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'holdfast/service', digest: { sha256: 'a'.repeat(64) } }],
    predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
  })
  const { holdfast, ...result } = predicate
  assert.equal(result, {
    result: 'PASSED',
    configuration: [{ name: 'deploy', digest: { gitCommit: 'c'.repeat(40) } }],
    passedTests: ['x', 'y'],
    failedTests: [],
  })
  assert.equal(holdfast, { environment: 'dev', proofs: [proof('x'), proof('y')] })
  const failed = proven(proof('x'), proof('x', 'violated'), proof('y')).predicate
  assert.equal([failed.result, failed.passedTests, failed.failedTests], ['FAILED', ['y'], ['x']])
})

test('a statement is opened by who has the digest of its bundle', async () => {
  assert.equal(await open(await seal(proven())), proven())
})

test('another bundle than the one pointed to is refused, also where only a space is different', async () => {
  const [content, other] = [await seal(proven(proof('x'))), await seal(proven(proof('y')))]
  assert.is(
    await open(other, pointerOf(content)),
    `its bytes are ${pointerOf(other).slice(0, 19)}, and deploy points to ${pointerOf(content).slice(0, 19)}`,
  )
  assert.match((await open(`${content} `, pointerOf(content))) as string, /^its bytes are/)
})

test('a statement that was copied from another digest or environment is refused', async () => {
  const of = (change: object) => seal({ ...proven(), ...change } as Statement)
  const other = [{ name: image.name, digest: { sha256: 'b'.repeat(64) } }]
  assert.is(await open(await of({ subject: other })), `it is about sha256:${'b'.repeat(12)}, not about sha256:${'a'.repeat(12)}`)
  assert.match((await open(await of({ subject: [...proven().subject, ...other] }))) as string, /^it is about/)
  const elsewhere = statementOf({ environment: 'staging', image, deploy: '', proofs: [proof('x')] })
  assert.is(await open(await seal(elsewhere)), "it was made in 'staging', not in 'dev'")
})

test('what is signed and no test result, and one that failed, are refused', async () => {
  const signed = async (content: string) => open(await seal(content))
  for (const content of ['null', '[]', '{"_type":"x"}', JSON.stringify({ ...proven(), subject: [null] })])
    assert.is(await signed(content), 'it is no statement of in-toto', content)
  const other = 'it is no test-result statement of in-toto'
  assert.is(await signed(JSON.stringify({ ...proven(), predicateType: 'https://slsa.dev/provenance/v1' })), other)
  assert.is(await signed(JSON.stringify({ ...proven(), predicate: { result: 'PASSED' } })), other)
  assert.is(await open(await seal(proven(proof('x', 'violated')))), 'its result is FAILED')
})

test('missingProofs() names what a statement does not say to have held', () => {
  assert.equal(missingProofs(proven(), ['x', 'y']), [])
  assert.equal(missingProofs(proven(), ['x', 'z', 'w']), ['z', 'w'])
  const half = proven()
  const claimed = { ...half, predicate: { ...half.predicate, passedTests: ['x', 'y', 'z'] } }
  assert.equal(missingProofs(claimed, ['z']), ['z'], 'a name without a run of it')
  assert.equal(missingProofs(proven(proof('x'), proof('x', 'no data')), ['x']), ['x'])
})

// ── From results ────────────────────────────────────────────────────────────────────────────────────────────────────

function result(
  name: string,
  { verdict = 'held', of = digest('a'), mutant }: { verdict?: Verdict; of?: Digest | undefined; mutant?: string } = {},
) {
  return {
    record: { scenario: name, ...(of === undefined ? {} : { digest: of }) } as RunRecord,
    scenario: { name } as Scenario,
    timing: { name: 'local' } as Result['timing'],
    judgement: { verdict, reason: '', times: [], claims: [] },
    path: '',
    ...(mutant === undefined ? {} : { mutant: { name: mutant, expect: 'violated' } }),
  } as Result
}

test('shownBy() says nothing until all that is required was run', () => {
  assert.is(shownBy([result('x')], ['x', 'y']), undefined)
  assert.is(shownBy([result('x'), result('y', { verdict: 'violated', mutant: 'm' })], ['x', 'y']), undefined)
  assert.is(shownBy([result('x')], []), undefined)
})

test('shownBy() takes every run of what is required, and one digest throughout', () => {
  const results = [result('x'), result('y'), result('other', { verdict: 'violated', of: digest('b') })]
  const shown = shownBy(results, ['x', 'y'])
  assert.equal(shown, { digest: digest('a'), results: results.slice(0, 2) })
  assert.equal(shownBy([result('x'), result('x', { verdict: 'no data' })], ['x']), { why: 'x did not hold' })
  const notOne = { why: 'the environment did not run one digest throughout' }
  assert.equal(shownBy([result('x'), result('y', { of: digest('b') })], ['x', 'y']), notOne)
  const { digest: _, ...unknown } = result('x').record
  assert.equal(shownBy([{ ...result('x'), record: unknown }], ['x']), notOne)
})

test('what is required in an environment is run there by default', () => {
  const scenarios = stack.parts.flatMap((part) => part.scenarios)
  for (const [environment, required] of Object.entries(stack.evidence)) {
    for (const name of required) {
      const { isExtra = false, environments = ['dev'] } = scenarios.find((scenario) => scenario.name === name) ?? {}
      assert.ok(!isExtra && (environments as string[]).includes(environment), `${name} in ${environment}`)
    }
  }
})

// ── From where to where ─────────────────────────────────────────────────────────────────────────────────────────────

test('parsePromotion() goes one environment further', () => {
  assert.equal(parsePromotion('staging'), { from: 'dev', to: 'staging' })
  assert.equal(parsePromotion('prod', 'staging'), { from: 'staging', to: 'prod' })
})

const REFUSED: readonly [to: string, from: string | undefined, message: string][] = [
  ['stging', undefined, "Cannot promote: there is no environment 'stging'. Did you mean 'staging'? Known: dev, staging, prod"],
  ['dev', undefined, "Cannot promote to 'dev': it is the first environment, and follows the working tree. Run npm run local:deploy"],
  ['prod', 'prdo', "Cannot promote to 'prod': there is no environment 'prdo'. Did you mean 'prod'? Known: dev, staging, prod"],
  ['prod', 'dev', "Cannot promote to 'prod': 'staging' lies between 'dev' and it: dev → staging → prod. Run npm run promote -- staging"],
  [
    'staging',
    'prod',
    "Cannot promote to 'staging': from 'prod' that is backwards: dev → staging → prod. To go back, run npm run rollback -- <sha> --env staging",
  ],
]

for (const [to, from, message] of REFUSED) {
  test(`parsePromotion() refuses ${from ?? 'nothing'} to ${to}`, () => {
    assert.throws(
      () => parsePromotion(to, from),
      (error: Error) => error instanceof UserError && error.message === message,
    )
  })
}

test.run()
